"""Images that are kept, as the bytes of their files, in the tables of Hugging Face's datasets."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.data.loading.decoding import decode_content
from noisy_lightning.data.sets.image_files import ImageFiles
from noisy_lightning.errors import InputError


@final
class ArrowImages(ImageFiles):
    """Files in a table that behave like a uint8 array (N, H, W, C); the table stays on disk.

    Args:
        dataset: Rows whose only column, `column`, holds `bytes` of a file or, where it holds none, its `path`.
        column: Its name.
        root: The folder that the data set was saved to.
        folders: Those below it whose tables the rows are of.
        names: N names of the rows, for errors.
        image_shape: (H, W, C) to which `decode` brings the images.
        megapixels: How large, in a million pixels, each may be.
    """

    def __init__(
        self,
        dataset: Any,
        column: str,
        root: Path,
        folders: Sequence[Path],
        names: Sequence[str],
        image_shape: tuple[int, int, int],
        megapixels: float,
    ) -> None:
        super().__init__(root, names, image_shape, megapixels)
        self.dataset, self.column, self.folders = dataset, column, folders

    def decoded(self, position: int) -> NDArray[np.uint8]:
        """Return the image (H, W, C) at a position.

        Raises:
            InputError: It cannot be read.
        """
        where = f"{self.root}: {self.names[position]}"
        file = self.dataset[position][self.column] or {}
        content, path = file.get("bytes"), file.get("path")
        where += f" ({path})" * bool(path)
        if content is None:
            content = self._read(where, path)
        return decode_content(io.BytesIO(content), where, self.image_shape, self.megapixels)

    def _read(self, where: str, path: str | None) -> bytes:
        """Return the bytes of a file that a row only names; nothing is downloaded."""
        if not path:
            raise InputError(f"{where} cannot be read: the row holds no image")
        local = (self.root / path).resolve()
        if "://" in path or not local.is_relative_to(self.root.resolve()):
            raise InputError(
                f"{where} cannot be read: its file lies outside of data.root; save_to_disk of datasets 2.4 or later "
                "keeps files in the folder"
            )
        try:
            return local.read_bytes()
        except OSError as error:
            raise InputError(f"{where} cannot be read: {error.strerror or error}") from error

    def checksum(self, place: bool = False) -> str:
        """Return a SHA-256, in hex, of the names and sizes of the tables and of the shape of the images.

        Args:
            place: Whether it covers the root, the times of the last changes and the limit of size too.
        """
        digest = hashlib.sha256(f"{self.image_shape} {self.column}".encode())
        if place:
            digest.update(f"{self.root.resolve()} {self.megapixels}".encode())
        for folder in self.folders:
            digest.update((folder / "state.json").read_bytes())  # the order of the tables, and a fingerprint
            for path in sorted(folder.glob("*.arrow")):
                status = path.stat()
                digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns if place else ''}\0".encode())
        return digest.hexdigest()
