"""Image files as one uint8 array: decoded all at once, or a batch at a time when it is asked for."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from noisy_lightning.data.loading.decoding import MEGAPIXELS, decode
from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import replacing

_AT_ONCE = 32  # images that a thread decodes before it asks for more
# Seconds of a file that are worth threads: of work, which for a JPEG of 224 pixels is 4e-4 and for one of 128 2e-4; and
# with waiting for a disk, which on a busy machine a file that is read at once seems to do for less.
_WORK, _WAITING = 3e-4, 3e-3
_VERSION = 1  # of `decode`: where it gives other pixels, raise this, or old caches would be used in place of new ones

Result = TypeVar("Result")


class Decoded(NamedTuple):
    """What came of decoding image files."""

    images: Tensor | None
    """(N, H, W, C) uint8, zero where a file is broken; None where they were only looked at."""
    broken: dict[int, str]
    """Why a file cannot be read, by its position."""


class ImageFiles:
    """Files that behave like a uint8 array (N, H, W, C), of which only the images asked for are ever in memory.

    Args:
        root: Folder of the files.
        names: N paths below it.
        image_shape: (H, W, C) to which `decode` brings them.
        megapixels: How large, in a million pixels, each may be.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        image_shape: tuple[int, int, int],
        megapixels: float = MEGAPIXELS,
    ) -> None:
        self.root, self.names, self.image_shape, self.megapixels = root, names, image_shape, megapixels

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return len(self.names), *self.image_shape

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, that all images would take."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the images (B, H, W, C) uint8 at positions (B,).

        Raises:
            InputError: One of them cannot be read.
        """
        images = torch.empty((len(index), *self.image_shape), dtype=torch.uint8)
        for image, position in zip(images.numpy(), index.tolist(), strict=True):
            try:
                image[:] = self.decoded(position)
            except InputError as error:
                raise InputError(f"data.root: {error}") from error
        return images

    def decoded(self, position: int) -> NDArray[np.uint8]:
        """Return the image (H, W, C) at a position.

        Raises:
            InputError: It cannot be read.
        """
        return decode(self.root / self.names[position], self.image_shape, self.megapixels)

    def checksum(self, place: bool = False) -> str:
        """Return a SHA-256, in hex, of the files' names and sizes and of the shape of the images.

        Args:
            place: Whether it covers the root, the times of the last changes and the limit of size too, which differ
                between copies of a folder, or leave it as it is.
        """
        digest = hashlib.sha256(f"{_VERSION} {self.image_shape}".encode())
        if place:
            digest.update(os.fsencode(self.root.resolve()) + f" {self.megapixels}".encode())
        root = os.fspath(self.root)
        for name in self.names:
            try:
                status = os.stat(f"{root}/{name}")  # noqa: PTH116  # a Path takes four times as long
            except OSError:
                described = "missing"
            else:
                described = f"{status.st_size} {status.st_mtime_ns}" if place else f"{status.st_size}"
            # A name of undecodable bytes holds surrogates. NUL is the one character that no name has.
            digest.update(f"{name}\0{described}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def decode_all(files: ImageFiles, keep: bool = True) -> Decoded:
    """Decode all files, with a bar where the output is a terminal.

    Args:
        files: What to decode.
        keep: Whether the images are wanted, not only which of them are broken.
    """
    images = torch.zeros(files.shape, dtype=torch.uint8) if keep else None
    broken: dict[int, str] = {}

    def decode_some(positions: range) -> int:
        for position in positions:
            try:
                pixels = files.decoded(position)
            except InputError as error:
                broken[position] = str(error)
            else:
                if images is not None:
                    images.numpy()[position] = pixels
        return len(positions)

    with tqdm(total=len(files), unit=" images", disable=None) as bar:
        for count in of_blocks(decode_some, len(files)):
            bar.update(count)
    return Decoded(images, dict(sorted(broken.items())))


def of_blocks(work: Callable[[range], Result], count: int) -> Iterator[Result]:
    """Yield what comes of blocks of files, in their order, by threads where a file takes long enough.

    Pillow decodes and resizes without the interpreter's lock. Files that take no time are not worth threads, which
    would wait for it: on two quiet cores, two threads took 1.55 times as long as one for JPEGs of 32 pixels, 1.11 for
    128 pixels, and 0.65 for 224.

    Args:
        work: From positions; threads may call it at once.
        count: Of all files.
    """
    blocks = [range(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE)]
    is_slow = False
    for block in blocks[:2]:  # the first file of a kind has Pillow import what reads it
        worked, waited = time.thread_time(), time.perf_counter()
        result = work(block)
        worked, waited = time.thread_time() - worked, time.perf_counter() - waited
        is_slow = worked > _WORK * len(block) or waited > _WAITING * len(block)
        yield result
    if not is_slow:
        yield from map(work, blocks[2:])
        return
    with ThreadPoolExecutor(processors()) as pool:
        yield from pool.map(work, blocks[2:])


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decode_cached(files: ImageFiles, folder: Path) -> Decoded:
    """Return what an earlier call has left in a folder for the same files, or decode them and leave it there.

    Files are the same if their folder, names, sizes and times of change are. The images stay on disk until they are
    read.

    Raises:
        InputError: The folder cannot be written to, or holds a damaged file.
    """
    path = folder / f"images_{files.checksum(place=True)[:32]}.safetensors"
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            images, broken = decode_all(files)
            assert images is not None
            with replacing(path) as staged:
                save_file({"images": images}, staged, metadata={"broken": json.dumps(broken)})
    except OSError as error:
        raise InputError(f"data.cache: cannot use {path}: {error.strerror or error}") from error
    try:
        with reading(path, "data.cache"), safe_open(path, "pt") as file:
            reasons = json.loads(file.metadata()["broken"])
            broken = {int(position): str(why) for position, why in reasons.items()}
            images = file.get_tensor("images")
    except InputError as error:
        raise InputError(f"{error}; delete it") from error
    if images.shape != files.shape or images.dtype != torch.uint8 or not broken.keys() <= set(range(len(files))):
        raise InputError(f"data.cache: {path} is damaged: it holds other images; delete it")
    return Decoded(images, broken)
