"""What a user gave that cannot work, and what the machine refused: each in one line."""

import errno
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What a file system answers: it is full, a permission or a file is gone, a name is too long, a disk is broken.
_OF_FILE_SYSTEM = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG),
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ESTALE, errno.ELOOP, errno.EMFILE),
    }
)
# Of these, what no other folder, name or permission helps against.
_OF_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE})
_LONGEST = 2000  # characters of a message
_UNPRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class InputError(ValueError):
    """A value, file or folder that the user named cannot be used.

    The message says what was wrong, where (the config key or the file) and what to do. The command line prints
    it as one line and exits with code 2; everything else keeps its traceback.

    Args:
        message: Becomes one line of at most 2,000 characters, whatever a file holds that it quotes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


class StorageError(OSError):
    """A file could not be written or read for a reason that no argument causes, such as a full disk.

    The message says which file, why, and what is kept. The command line prints it as one line and exits with code 1.

    Args:
        message: Becomes one line of at most 2,000 characters.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


@contextmanager
def storing(kept: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turn an error of the file system into a StorageError.

    Args:
        kept: Returns what is kept, as a further clause of the message; called when it is needed.

    Raises:
        StorageError: Instead of any other OSError that a file system answers.
    """
    try:
        yield
    except (InputError, StorageError):
        raise
    except OSError as error:
        if error.errno not in _OF_FILE_SYSTEM:
            raise
        where = f"{Path(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        raise StorageError("; ".join(filter(None, [f"{where}{error.strerror}", kept()]))) from error


def cannot_write(key: str, path: Path, error: OSError) -> InputError | StorageError:
    """Return what to raise where a folder that an argument names cannot be written to.

    Args:
        key: The argument.
        path: The folder.
        error: What the file system answered: a full or broken disk is a StorageError, all else an InputError.
    """
    kind = StorageError if error.errno in _OF_DISK else InputError
    return kind(f"{key}: cannot write to {path}: {error.strerror or error}")


def in_one_line(text: str) -> str:
    """Return a text without what a terminal would take for a command, and without its middle where it is long."""
    line = _UNPRINTABLE.sub(" ", text).strip()
    if len(line) <= _LONGEST:
        return line
    half = _LONGEST // 2 - 2
    return f"{line[:half]} … {line[-half:]}"


@contextmanager
def reading(path: str | os.PathLike[str], key: str = "") -> Iterator[None]:
    """Turn whatever a reader meets in a file into an InputError: damaged bytes can make one raise anything.

    Args:
        path: The file.
        key: Of the configuration, which names it.

    Raises:
        InputError: Reading has failed.
    """
    where = f"{key}: " if key else ""
    try:
        yield
    except (InputError, BrokenPipeError):  # the latter is of whoever reads what is printed, never of a file
        raise
    except OSError as error:
        raise InputError(f"{where}cannot read {Path(path)}: {error.strerror or error}") from error
    except Exception as error:
        raise InputError(f"{where}{Path(path)} is damaged: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return in a few words why something could not be read."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, UnicodeDecodeError):
        return f"it is no UTF-8 text, byte {error.start}"
    if isinstance(error, zipfile.BadZipFile):
        return "it is no whole archive"
    if (mark := getattr(error, "problem_mark", None)) is not None:  # of YAML
        return f"{getattr(error, 'problem', None) or 'it is no YAML'}, line {mark.line + 1}, column {mark.column + 1}"
    text = in_one_line(str(error))[:200]
    return f"{type(error).__name__} {text}" if isinstance(error, KeyError) else text or type(error).__name__
