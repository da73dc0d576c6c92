"""Image files as one uint8 array: decoded all at once by threads, or a batch at a time when it is asked for."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from noisy_lightning.data.sets.sources import Images
from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import replacing

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What an image file's name ends in, in small letters."""
_AT_ONCE = 32  # images that a thread decodes before it asks for more
_MEASURED = 1000  # images that mean and deviation are taken from
_VERSION = 1  # of `decode`: other pixels need another number, or old caches would be taken for new ones


class Decoded(NamedTuple):
    """What came of decoding image files."""

    images: Tensor | None
    """(N, H, W, C) uint8, zero where a file is broken; None where they were only looked at."""
    broken: dict[int, str]
    """Why a file cannot be read, by its position."""


class ImageFiles:
    """Files that pass for a uint8 array (N, H, W, C), of which only the images asked for are ever in memory.

    Args:
        root: Folder of the files.
        names: N paths below it.
        image_shape: (H, W, C) to which `decode` brings them.
    """

    def __init__(self, root: Path, names: Sequence[str], image_shape: tuple[int, int, int]) -> None:
        self.root, self.names, self.image_shape = root, names, image_shape

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
                image[:] = decode(self.root / self.names[position], self.image_shape)
            except InputError as error:
                raise InputError(f"data.root: {error}") from error
        return images

    def checksum(self, place: bool = False) -> str:
        """Return a SHA-256, in hex, of the files' names and sizes and of the shape of the images.

        Args:
            place: Whether it covers the root and the times of the last changes too, which differ between copies of a
                folder.
        """
        digest = hashlib.sha256(f"{_VERSION} {self.image_shape}".encode())
        if place:
            digest.update(os.fsencode(self.root.resolve()))
        for name in self.names:
            try:
                status = (self.root / name).stat()
            except OSError:
                described = "missing"
            else:
                described = f"{status.st_size} {status.st_mtime_ns}" if place else f"{status.st_size}"
            # A name of undecodable bytes holds surrogates. NUL is the one character that no name has.
            digest.update(f"{name}\0{described}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def decode(path: Path, image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Read an image file of any size and kind.

    It is turned upright by its EXIF orientation, laid on white where it is transparent, made grey or coloured (16 bits
    per channel become 8), brought to the size by its shorter side (bilinear, antialiased) and cut from the centre. Of
    several frames the first counts.

    Args:
        path: The file.
        image_shape: (H, W, C), C being 1 or 3.

    Returns:
        (H, W, C).

    Raises:
        InputError: It cannot be read.
    """
    height, width, channels = image_shape
    try:
        with Image.open(path) as image:
            # JPEG decodes at a half, a quarter or an eighth of its size in a fraction of the time; twice the size that
            # is needed leaves the filter enough to work on.
            image.draft(None, (2 * max(height, width),) * 2)
            upright = ImageOps.exif_transpose(image)
            opaque = _without_transparency(_with_eight_bits(upright)).convert("L" if channels == 1 else "RGB")
            fitted = ImageOps.fit(opaque, (width, height), Image.Resampling.BILINEAR)
            return np.asarray(fitted).reshape(image_shape)
    except Exception as error:  # damaged bytes can make a decoder raise anything
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        reason = "it is no image of a known kind" if isinstance(error, UnidentifiedImageError) else reason
        raise InputError(f"{path} cannot be read: {reason}") from error


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Scale pixels of 16 bits, which Pillow would clip."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    pixels = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray((pixels / 257).round().astype(np.uint8))


def _without_transparency(image: Image.Image) -> Image.Image:
    """Lay an image on white: what is transparent may have any colour underneath."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def decode_all(files: ImageFiles, keep: bool = True) -> Decoded:
    """Decode all files by as many threads as there are processors, with a bar where the output is a terminal.

    Args:
        files: What to decode.
        keep: Whether the images are wanted, not only which of them are broken.
    """
    images = torch.zeros(files.shape, dtype=torch.uint8) if keep else None
    broken: dict[int, str] = {}

    def decode_some(first: int) -> int:
        positions = range(first, min(first + _AT_ONCE, len(files)))
        for position in positions:
            try:
                pixels = decode(files.root / files.names[position], files.image_shape)
            except InputError as error:
                broken[position] = str(error)
            else:
                if images is not None:
                    images.numpy()[position] = pixels
        return len(positions)

    # Threads: Pillow decodes and resizes without the interpreter's lock, and all write to the same array.
    with ThreadPoolExecutor(processors()) as pool, tqdm(total=len(files), unit=" images", disable=None) as bar:
        for count in pool.map(decode_some, range(0, len(files), _AT_ONCE)):
            bar.update(count)
    return Decoded(images, dict(sorted(broken.items())))


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
        with safe_open(path, "pt") as file:
            reasons = json.loads(file.metadata()["broken"])
            return Decoded(file.get_tensor("images"), {int(position): why for position, why in reasons.items()})
    except OSError as error:
        raise InputError(f"data.cache: cannot use {path}: {error.strerror or error}") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"data.cache: {path} is damaged, delete it: {error}") from error


def channel_statistics(images: Images, usable: Tensor) -> tuple[list[float], list[float]]:
    """Measure mean and standard deviation per channel, on up to 1,000 images that are spread evenly.

    Args:
        images: (N, H, W, C) uint8.
        usable: (n,) positions, ascending, of the images that can be read; at least one.

    Returns:
        C means in [0, 1] and C deviations > 0, rounded to four digits.
    """
    chosen = usable[torch.linspace(0, len(usable) - 1, min(len(usable), _MEASURED)).round().long()]
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for part in torch.split(chosen, _AT_ONCE):
        pixels = images[part].flatten(0, 2).double() / 255
        count += len(pixels)
        total, squares = total + pixels.sum(0), squares + pixels.square().sum(0)
    mean = total / count
    # Images of a single colour have no deviation to divide by.
    std = (squares / count - mean.square()).clamp(min=(1 / 255) ** 2).sqrt()
    return [round(value, 4) for value in mean.tolist()], [round(value, 4) for value in std.tolist()]
