"""Features of images in a file: written block by block, continued after an interruption, checked when they are read."""

import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.errors import InputError, cannot_write, reading
from noisy_lightning.runs.files import write_text
from noisy_lightning.runs.locks import Lock

_KEY = "data.cache"
_BLOCK = 1024  # samples that are written, and checked, at a time


class Block(NamedTuple):
    """Features of samples that follow each other."""

    features: NDArray[np.float16]
    """(n, V, D)."""
    broken: dict[int, str]
    """Why an image cannot be read, by its position among all."""


@dataclass(frozen=True)
class FeatureCache:
    """A file `features_<key>.npy` with the features of a data set, and one beside it that says what is in there.

    Args:
        folder: Where they lie.
        key: What decides on the features: images, weights and preprocessing.
        shape: (N, V, D).
    """

    folder: Path
    key: str
    shape: tuple[int, int, int]

    @property
    def path(self) -> Path:
        """The file with the features."""
        return self.folder / f"features_{hashlib.sha256(self.key.encode()).hexdigest()[:32]}.npy"

    def get(self, compute: Callable[[list[range]], Iterator[Block]]) -> tuple[Tensor, dict[int, str]]:
        """Return the features and which images are broken; what is missing or damaged is computed now.

        Of several processes one computes, while the others wait. The features stay in the file until they are read. A
        file that is whole may lie in a folder that cannot be written to.

        Args:
            compute: Yields the features of blocks of samples, in their order.

        Returns:
            (N, V, D) float16, and why images cannot be read, by position.

        Raises:
            InputError: The folder cannot be written to, or the file holds something else.
        """
        if (whole := self._whole()) is not None:
            return whole
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.path.with_suffix(".lock"))
            lock.acquire(wait=True)
        except OSError as error:
            raise cannot_write(_KEY, self.folder, error) from error
        try:
            return self._complete(compute)
        finally:
            lock.release()

    def _whole(self) -> tuple[Tensor, dict[int, str]] | None:
        """Return what the file holds, None where something is missing or damaged."""
        state = self._state()
        if state is None or None in state["crc32"]:
            return None
        try:
            # Copy on write: torch wants memory that can be written to, and the file stays as it is.
            array = np.lib.format.open_memmap(self.path, "c")
        except (OSError, ValueError):
            return None
        if array.shape != self.shape or array.dtype != np.float16:
            return None
        if [_crc(array, block) for block in self._blocks()] != state["crc32"]:
            return None
        return torch.from_numpy(array), _by_position(state["broken"])

    def _complete(self, compute: Callable[[list[range]], Iterator[Block]]) -> tuple[Tensor, dict[int, str]]:
        state = self._state()
        array = self._array(new=state is None)
        sums: list[int | None] = [None] * len(self._blocks()) if state is None else state["crc32"]
        broken = {} if state is None else _by_position(state["broken"])
        missing = [n for n, block in enumerate(self._blocks()) if sums[n] is None or _crc(array, block) != sums[n]]
        if missing and state is not None:
            text = f"{self.path}: {len(missing)} of {len(sums)} blocks are missing or damaged and computed now"
            print(text, file=sys.stderr, flush=True)
        try:
            for number, found in zip(missing, compute([self._blocks()[n] for n in missing]), strict=True):
                block = self._blocks()[number]
                array[block.start : block.stop] = found.features
                array.flush()
                sums[number] = _crc(array, block)
                broken |= found.broken
                content = {"key": self.key, "shape": self.shape, "crc32": sums, "broken": broken}
                write_text(self.path.with_suffix(".json"), json.dumps(content))
        except OSError as error:
            raise cannot_write(_KEY, self.folder, error) from error
        return torch.from_numpy(np.lib.format.open_memmap(self.path, "c")), dict(sorted(broken.items()))

    def _blocks(self) -> list[range]:
        return [range(start, min(start + _BLOCK, self.shape[0])) for start in range(0, self.shape[0], _BLOCK)]

    def _state(self) -> dict[str, Any] | None:
        """Return what the file holds, None where there is none.

        Raises:
            InputError: It holds something else.
        """
        path = self.path.with_suffix(".json")
        if not (path.exists() and self.path.exists()):
            return None
        with reading(path, _KEY):
            state: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(state, dict) or state.get("key") != self.key or state.get("shape") != list(self.shape):
            raise InputError(f"{_KEY}: {path} is that of other images or another network: delete it")
        sums, broken = state.get("crc32"), state.get("broken")
        if not isinstance(sums, list) or len(sums) != len(self._blocks()) or not isinstance(broken, dict):
            raise InputError(f"{_KEY}: {path} is damaged: delete it")
        return state

    def _array(self, new: bool) -> "np.memmap[Any, np.dtype[np.float16]]":
        """Return the file as an array.

        Raises:
            InputError: It cannot be written, or is another.
        """
        try:
            if new:
                array = np.lib.format.open_memmap(self.path, "w+", np.float16, self.shape)
            else:
                array = np.lib.format.open_memmap(self.path, "r+")
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                raise cannot_write(_KEY, self.folder, error) from error
            raise InputError(f"{_KEY}: {self.path} is damaged ({error}): delete it") from error
        if array.shape != self.shape or array.dtype != np.float16:
            raise InputError(f"{_KEY}: {self.path} holds other features: delete it")
        return array


def _by_position(broken: dict[str, Any]) -> dict[int, str]:
    """Return why images cannot be read, by position, as JSON has it."""
    return {int(position): str(why) for position, why in broken.items()}


def _crc(array: NDArray[np.float16], block: range) -> int:
    return zlib.crc32(np.ascontiguousarray(array[block.start : block.stop]).data)
