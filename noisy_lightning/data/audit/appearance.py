"""What an audit keeps of each image, so that every image is looked at once and never all are in memory again."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from noisy_lightning.data.sets.image_files import processors
from noisy_lightning.runs.measures import Floats, Ints

_SIDE = 8  # bits per side of the hash
THUMBNAIL_SIDE = 16
_LONGEST = 64  # pixels to which the longer side is reduced: larger images take longer, and are softer at the same focus
_AT_ONCE = 2**20  # pixels that a thread has in work
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class Appearance(NamedTuple):
    """What n images look like: but for the digest, gray values in [0, 255], reduced to at most 64 pixels per side."""

    digest: list[bytes]
    """n BLAKE2b hashes of 16 bytes: equal where all pixels are."""
    dhash: NDArray[np.uint64]
    """(n,) difference hashes: 8 × 8 bits that say where the right one of two neighboring cells is brighter."""
    thumbnail: NDArray[np.uint8]
    """(n, 16, 16) gray means of cells that part the image evenly."""
    deviation: Floats
    """(n,) standard deviation of the gray values."""
    dark_end: Floats
    """(n,) gray value that 5 % of the pixels do not exceed."""
    bright_end: Floats
    """(n,) gray value that 99 % of the pixels do not exceed."""
    entropy: Floats
    """(n,) of the gray values' histogram, in bits, in [0, 8]."""
    sharpness: Floats
    """(n,) variance of the Laplacian (Pech-Pacheco et al., ICPR 2000)."""


def describe(images: Callable[[Tensor], Tensor], positions: Ints, pixels: int, quiet: bool = False) -> Appearance:
    """Look at images in blocks, by as many threads as there are processors.

    Args:
        images: Returns the images (b, C, H, W) uint8 at positions (b,), C being 1 or 3.
        positions: (n,) where to look, at least one.
        pixels: H·W.
        quiet: Whether to do without a progress bar, which is shown where the output is a terminal.

    Raises:
        InputError: An image cannot be read.
    """
    size = max(1, min(1000, _AT_ONCE // pixels))
    blocks = [torch.from_numpy(positions[start : start + size]) for start in range(0, len(positions), size)]
    parts = []
    # Threads: numpy and Pillow work without the interpreter's lock.
    with (
        ThreadPoolExecutor(processors()) as pool,
        tqdm(total=len(positions), unit=" images", disable=True if quiet else None) as bar,
    ):
        for part in pool.map(lambda block: _described(images(block).permute(0, 2, 3, 1).numpy()), blocks):
            parts.append(part)
            bar.update(len(part.digest))
    return joined(parts)


def joined(parts: Sequence[Appearance]) -> Appearance:
    """Return the appearances of several sets of images as those of one, in their order."""
    digests = [digest for part in parts for digest in part.digest]
    return Appearance(digests, *map(np.concatenate, zip(*(part[1:] for part in parts), strict=True)))


def _described(images: NDArray[np.uint8]) -> Appearance:
    """Describe a block of images (b, H, W, C)."""
    images = np.ascontiguousarray(images)
    gray = _gray(images)
    values = gray.reshape(len(gray), -1)
    cells = _reduced(gray, _SIDE, _SIDE + 1)
    rising = cells[:, :, 1:] > cells[:, :, :-1]
    share = _histogram(values)
    below = share.cumsum(1)
    return Appearance(
        [hashlib.blake2b(image.data, digest_size=16).digest() for image in images],
        np.packbits(rising.reshape(-1, _SIDE * _SIDE), axis=1).view(np.uint64)[:, 0],
        np.rint(_reduced(gray, THUMBNAIL_SIDE, THUMBNAIL_SIDE)).astype(np.uint8),
        values.std(1),
        (below < 0.05).sum(1).astype(np.float32),
        (below < 0.99 - 1e-9).sum(1).astype(np.float32),  # 1e-9: what a sum of shares may lack
        -(share * np.log2(np.where(share > 0, share, 1))).sum(1).astype(np.float32),
        _sharpness(gray),
    )


def _gray(images: NDArray[np.uint8]) -> Floats:
    """Return the gray values of images (b, H, W, C), reduced where they are large."""
    gray: Floats = images.astype(np.float32) @ _LUMA if images.shape[3] == 3 else images[..., 0].astype(np.float32)
    height, width = gray.shape[1:]
    scale = _LONGEST / max(height, width)
    return gray if scale >= 1 else _reduced(gray, max(1, round(scale * height)), max(1, round(scale * width)))


def _histogram(values: Floats) -> NDArray[np.float64]:
    """Return which share of values (b, n) has each of the 256 whole numbers: (b, 256)."""
    count, size = values.shape
    keys = np.rint(values).astype(np.int64) + 256 * np.arange(count)[:, None]
    counts = np.bincount(keys.ravel(), minlength=256 * count).reshape(count, 256)
    return np.asarray(counts / size, np.float64)


def _sharpness(gray: Floats) -> Floats:
    padded = np.pad(gray, ((0, 0), (1, 1), (1, 1)), mode="edge")
    laplacian = 4 * gray - padded[:, :-2, 1:-1] - padded[:, 2:, 1:-1] - padded[:, 1:-1, :-2] - padded[:, 1:-1, 2:]
    variance: Floats = laplacian.reshape(len(gray), -1).var(1)
    return variance


def _reduced(gray: Floats, rows: int, columns: int) -> Floats:
    """Return the means of gray images (b, H, W) over rows × columns cells that part them evenly."""
    reduced: Floats = _shares(gray.shape[1], rows) @ (gray @ _shares(gray.shape[2], columns).T)
    return reduced


@cache
def _shares(pixels: int, cells: int) -> Floats:
    """Return how far each pixel of a line counts in each cell: (cells, pixels), each row summing to one."""
    edges = np.linspace(0, pixels, cells + 1)
    first, last = edges[:-1, None], edges[1:, None]
    start = np.arange(pixels)
    overlap = np.clip(np.minimum(last, start + 1) - np.maximum(first, start), 0, None)
    return np.asarray(overlap / overlap.sum(1, keepdims=True), np.float32)
