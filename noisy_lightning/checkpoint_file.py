"""Checkpoints as files: what was written is read back, or nothing.

A file of torch is a zip archive whose checksums torch does not look at. The comment of the archive, which every reader
of such files passes over, holds the length and the SHA-256 of all that comes before it.
"""

import hashlib
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from noisy_lightning.errors import InputError, reading

_SEAL = re.compile(rb"noisy_lightning: sha256 ([0-9a-f]{64}) of ([0-9]{16}) bytes")
_SEALED = 114  # bytes of it
_END = 22  # bytes of the record that ends an archive; the last two are the length of its comment
_AT_ONCE = 2**20


def write(content: object, path: Path) -> None:
    """Write what `read` returns.

    Args:
        content: Tensors and plain data.
        path: The file.

    Raises:
        OSError: It cannot be written, such as on a full disk.
    """
    with path.open("wb") as file:
        sealing = _Sealing(file)
        try:
            torch.save(content, cast(BinaryIO, sealing))
        except RuntimeError:
            if sealing.error is None:
                raise
        if sealing.error is not None:
            raise sealing.error
        sealing.finish()


def read(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Return a checkpoint of Lightning, as it was written; one that others wrote without a checksum is read, too.

    Args:
        path: The file.
        map_location: Device for the tensors, as torch.load takes it; None: that which they were saved on.

    Raises:
        InputError: It is cut off, damaged, no checkpoint, or holds more than tensors and plain data.
    """
    with reading(path):
        if not verify(path):
            _check_archive(path)
        content = load(path, map_location)
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict) or "epoch" not in content:
        raise InputError(f"{path} is no checkpoint of a run: it lacks state_dict and epoch")
    return content


def load(path: Path, map_location: Any = "cpu") -> Any:
    """Return what a file of torch holds, made of nothing but tensors and plain data.

    Raises:
        InputError: It holds more.
    """
    try:
        return torch.load(path, map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch explains over many lines how to open it all the same.
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = f"such as {named[1]}" if named else "or is damaged"
        raise InputError(f"{path} is not opened: it holds more than tensors and plain data, {what}") from error


def verify(path: Path) -> bool:
    """Return whether a file has a checksum, which is then that of its content.

    Raises:
        ValueError: It is not.
    """
    size = path.stat().st_size
    if not size:
        raise ValueError("it is empty")
    with path.open("rb") as file:
        file.seek(max(0, size - _SEALED))
        seal = _SEAL.fullmatch(file.read())
        if seal is None:
            return False
        if int(seal[2]) != size - _SEALED:
            raise ValueError(f"it should have {int(seal[2]):,} bytes and has {size - _SEALED:,}")
        file.seek(0)
        digest, left = hashlib.sha256(), size - _SEALED
        while left:
            digest.update(part := file.read(min(left, _AT_ONCE)))
            left -= len(part)
    if digest.hexdigest() != seal[1].decode():
        raise ValueError("its content has another checksum than when it was written")
    return True


def _check_archive(path: Path) -> None:
    """Check the archive of a file without a checksum of ours.

    Raises:
        ValueError: It is cut off or damaged.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            raise ValueError("it is no file that torch writes")
        file.seek(-_END, 2)
        end = file.read()
    # One of ours ends otherwise, unless it has been cut off.
    if not (end.startswith(b"PK\5\6") and end.endswith(b"\0\0")):
        raise ValueError("it has been cut off, or its end is damaged")
    with zipfile.ZipFile(path) as archive:
        if (broken := archive.testzip()) is not None:
            raise ValueError(f"its part {broken} is damaged")


class _Sealing:
    """Where torch writes an archive to: a file whose end is sealed.

    Torch answers an error of a write by one of its own, about positions, that hides it. Here, it is kept.

    Args:
        file: Open for writing.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.error = file, None
        self._digest, self._length = hashlib.sha256(), 0
        self._end = b""  # what has not been written yet, lest it be the last record

    error: OSError | None

    def write(self, data: Any) -> int:
        """Write bytes; after an error, nothing."""
        view = memoryview(data).cast("B")
        if self.error is None:
            last = self._end + bytes(view[-_END:])
            self._put(last[:-_END])
            self._put(view[:-_END])
            self._end = last[-_END:]
        return len(view)

    def flush(self) -> None:
        """Do nothing: `finish` does."""

    def finish(self) -> None:
        """Write the end.

        Raises:
            OSError: It cannot be written.
        """
        self._put(self._end[:-2] + _SEALED.to_bytes(2, "little"))
        self.file.write(b"noisy_lightning: sha256 %b of %016d bytes" % (self._hex(), self._length))
        self.file.flush()
        if self.error is not None:
            raise self.error

    def _hex(self) -> bytes:
        return self._digest.hexdigest().encode()

    def _put(self, data: bytes | memoryview) -> None:
        try:
            self.file.write(data)
        except OSError as error:
            self.error = error
        self._digest.update(data)
        self._length += len(data)
