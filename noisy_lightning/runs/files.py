"""Files that are there whole or not at all, and text files that others may have damaged."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError, reading

_UNFINISHED = "part"
_ABANDONED = 86_400  # seconds: who has not written to an unfinished file for a day does so no more
# A spreadsheet takes a cell for a formula that begins with one of these; the last one marks what was so marked.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which takes the place of `path` once the block ends without an error.

    It lies in the same folder, since a rename is atomic within a file system only. A reader never sees half a file,
    and a crash leaves the old one. What a process that was killed has left of the same file is removed a day later, or
    by `sweep_up`.
    """
    # Of no process's number: containers that share a folder count theirs alike, and threads share one.
    staged = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.{_UNFINISHED}")
    for left in path.parent.glob(f".{_escaped(path.name[:100])}.*.{_UNFINISHED}"):
        _remove_if(left, time.time() - _ABANDONED)
    try:
        yield staged
        staged.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a write to a full disk names no file
            error.filename = str(path)
        raise
    finally:
        staged.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file, whole or not at all."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file, whole or not at all."""
    with replacing(path) as staged:
        staged.write_bytes(content)


def is_unfinished(path: Path) -> bool:
    """Return whether a file is one that `replacing` writes to, or has left when its process was killed."""
    return path.name.startswith(".") and path.name.endswith(f".{_UNFINISHED}")


def sweep_up(folder: Path) -> None:
    """Remove what killed processes have left unfinished in a folder and below, where nobody else is writing."""
    for left in folder.rglob(f".*.{_UNFINISHED}"):
        left.unlink(missing_ok=True)


def read_text(path: Path, key: str = "") -> str:
    """Return the text of a file in UTF-8.

    Args:
        path: The file.
        key: Of the configuration, which names it.

    Raises:
        InputError: It cannot be read.
    """
    with reading(path, key):
        return path.read_text(encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a file of JSON holds.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    with reading(path):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: it should hold names and values")
    return content


def as_cell(value: Any) -> Any:
    """Return what a table holds of a value, so that no spreadsheet takes a name from outside for a formula.

    A text that one would is preceded by an apostrophe; `of_cell` removes it.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def of_cell(cell: str) -> str:
    """Return the text that a cell stands for, as `as_cell` wrote it."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _remove_if(path: Path, older_than: float) -> None:
    try:
        if path.stat().st_mtime < older_than:
            path.unlink()
    except FileNotFoundError:  # finished, or removed by another process
        pass
