"""The cells of a table: text with any usual separator and encoding, as spreadsheets write it, or Parquet."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from noisy_lightning.data.sets.columns import recognized
from noisy_lightning.errors import InputError, reading

PARQUET = ".parquet"
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_WINDOWS = "cp1252"  # what spreadsheets write in Western Europe where they are not asked for UTF-8
_NAMES = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", _WINDOWS: "Windows-1252"}


class TableRow(NamedTuple):
    """A row of a table."""

    where: str
    """File and line, as the beginning of an error."""
    cells: list[str]
    """One per column, as text; there can be blanks around it."""


class Table(NamedTuple):
    """The cells of a table."""

    header: list[str]
    """Names of the columns; there can be blanks around them."""
    rows: list[TableRow]
    remark: str
    """What was guessed of how it is written; empty where it is UTF-8 text with commas, or Parquet."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [name.strip() for name in self.header]


def read_table(
    path: Path, encoding: str | None, columns: Mapping[str, str | list[str] | None], key: str = "data.csv"
) -> Table:
    """Read a table.

    Text may be separated by commas, semicolons, tabs or bars: by that which makes the most known names of columns of
    the first line. It is decoded by its byte order mark; without one as UTF-8, or else as Windows-1252. Rows without
    any content are left out.

    Args:
        path: The file: Parquet if its name ends so, text otherwise.
        encoding: Of a text; None: the one that is found.
        columns: Names of columns, as `find_columns` takes them.
        key: What names the file, the beginning of an error.

    Raises:
        InputError: It cannot be read, or a row has not as many cells as there are columns.
    """
    if path.suffix.lower() == PARQUET:
        return _read_parquet(key, path)
    text, found = _read_text(key, path, encoding)
    # The first line of spreadsheets that name their separator.
    named = re.match(r'"?sep=([^\r\n])"?\r?\n', text)
    separator = named[1] if named else _separator(text, columns)
    names, *rows = [*_rows(key, path, text[named.end() if named else 0 :], separator, 1 if named else 0)] or [(1, [])]
    guessed = [SEPARATORS.get(separator, repr(separator))] * (separator != ",")
    guessed += [_NAMES.get(found, found)] * (found not in ("utf-8", "utf-8-sig"))
    kept = []
    for line, cells in rows:
        where = f"{key}: {path}, line {line}"
        if len(cells) != len(names[1]):
            raise InputError(
                f"{where}: there are not as many cells as columns in the first line, {len(cells)} instead of "
                f"{len(names[1])}"
            )
        kept.append(TableRow(where, cells))
    return Table(names[1], kept, ", ".join(guessed))


def _rows(key: str, path: Path, text: str, separator: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that have any content, each with the number of its line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num + before, cells
    except csv.Error as error:
        raise InputError(f"{key}: {path}, line {reader.line_num + before}: {error}") from error


def _separator(text: str, columns: Mapping[str, str | list[str] | None]) -> str:
    """Return the separator that makes the most of the first line: known columns, then any."""
    first = next((line for line in text.splitlines() if line.strip()), "")

    def made(separator: str) -> tuple[int, int]:
        names = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
        return recognized(names, columns), len(names)

    return max(SEPARATORS, key=made)


def _read_text(key: str, path: Path, encoding: str | None) -> tuple[str, str]:
    """Return the text of a file and its encoding."""
    with reading(path, key):
        content = path.read_bytes()
    marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    hint = "name its encoding by data.encoding, such as cp1252, cp1250 or utf-16-le"
    try:
        text = _decoded(key, path, content, chosen, hint)
    except InputError:
        if encoding or marked or b"\0" in content:
            raise
        chosen, hint = _WINDOWS, "it is no UTF-8 text either: " + hint
        text = _decoded(key, path, content, chosen, hint)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{key}: {path}, line {line}: it is no {_NAMES.get(chosen, chosen)} text: {hint}")
    return text, chosen


def _decoded(key: str, path: Path, content: bytes, encoding: str, hint: str) -> str:
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise InputError(f"data.encoding: there is no encoding {encoding!r}; such as utf-8, cp1252, utf-16") from error
    except UnicodeError as error:
        name = _NAMES.get(encoding, encoding)
        if not isinstance(error, UnicodeDecodeError):
            raise InputError(f"{key}: {path}: it is no {name} text ({error}): {hint}") from error
        line = content[: error.start].decode(encoding, "ignore").count("\n") + 1
        wrong = content[error.start : error.end].hex(" ")
        raise InputError(f"{key}: {path}, line {line}: it is no {name} text (bytes {wrong}): {hint}") from error


def _read_parquet(key: str, path: Path) -> Table:
    try:
        from pyarrow import parquet, types  # noqa: PLC0415
    except ImportError as error:
        raise InputError(f"{key}: Parquet needs pyarrow: pip install 'noisy_lightning[parquet]'") from error
    with reading(path, key):
        # Memory-mapped or from several threads, it would be no quicker: a table of paths is small.
        file = parquet.ParquetFile(path)
        plain = [field.name for field in file.schema_arrow if not _holds_bytes(types, field.type)]
        content = file.read(columns=plain)
        columns = [[_cell(value) for value in column.to_pylist()] for column in content.columns]
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    kept = [TableRow(f"{key}: {path}, row {number}", cells) for number, cells in enumerate(rows, 1) if any(cells)]
    return Table(list(content.column_names), kept, "")


def _holds_bytes(types: Any, kind: Any) -> bool:
    """Return whether a column cannot be a name or number: images, lists and the like."""
    return bool(types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _cell(value: object) -> str:
    return "" if value is None else str(value)
