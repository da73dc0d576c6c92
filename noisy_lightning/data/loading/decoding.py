"""One image of any kind and size as uint8 pixels of the shape that a data set has."""

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from noisy_lightning.data.loading.opening import open_image
from noisy_lightning.errors import InputError, reason

CHANNELS = (1, 3)
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


MEGAPIXELS = 64.0
"""How large an image may be by default, in a million pixels: it takes about a GiB to decode one of that size."""


def decode(path: Path, image_shape: tuple[int, int, int], megapixels: float = MEGAPIXELS) -> NDArray[np.uint8]:
    """Read an image file of any size and kind.

    It is turned upright by its EXIF orientation, its transparent pixels become white, it is made gray or colored (16
    bits per channel become 8), brought to the size by its shorter side (bilinear, antialiased) and cut from the center.
    If there are several frames, the first counts.

    Args:
        path: The file.
        image_shape: (H, W, C), C being 1 or 3.
        megapixels: A million pixels that an image may have, counted before it is decoded; of a JPEG that is reduced
            while it is decoded, those that are left.

    Returns:
        (H, W, C).

    Raises:
        InputError: It cannot be read, is no regular file, or is too large.
    """
    if path.exists() and not path.is_file():  # a pipe or a device may never end
        raise InputError(f"{path} cannot be read: it is no regular file")
    return decode_content(path, str(path), image_shape, megapixels)


def decode_content(
    file: Path | io.BytesIO, named: str, image_shape: tuple[int, int, int], megapixels: float
) -> NDArray[np.uint8]:
    """Do what `decode` does, also with the bytes of a file.

    Args:
        file: Path of a regular file, or what stands in one.
        named: What an error calls it.
        image_shape: As there.
        megapixels: As there.

    Returns:
        (H, W, C).

    Raises:
        InputError: It cannot be read, or is too large.
    """
    try:
        with open_image(file) as image:
            # JPEG decodes at a half, a quarter or an eighth of its size in a fraction of the time; twice the size that
            # is needed leaves the filter enough to work on.
            image.draft(None, (2 * max(image_shape[:2]),) * 2)
            if image.width * image.height > megapixels * 1e6:
                raise InputError(_too_large(named, image.width * image.height / 1e6, megapixels))
            return _fitted(image, image_shape)
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(_too_large(named, None, megapixels)) from error
    except Exception as error:  # damaged bytes can make a decoder raise anything
        why = error.strerror if isinstance(error, OSError) and error.strerror else reason(error)
        if isinstance(error, UnidentifiedImageError):
            size = file.stat().st_size if isinstance(file, Path) else len(file.getvalue())
            why = "it is no image of a known kind" if size else "it is empty"
        raise InputError(f"{named} cannot be read: {why}") from error


def _too_large(named: str, size: float | None, limit: float) -> str:
    pixels = "more than Pillow opens" if size is None else f"{size:.4g} million pixels"
    return f"{named} cannot be read: it has {pixels}, data.max_megapixels allows {limit:g}"


def to_pixels(image: object, image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Bring an image in memory to a shape, by the same steps as `decode` brings a file.

    Args:
        image: A picture of Pillow in any mode, or numbers: uint8, or floating-point in [0, 1], which are rounded to
            uint8. A numpy array or torch tensor is (H, W), (H, W, C) or (C, H, W), C being 1 or 3; where both ends
            could be channels, a tensor has them first and an array has them last.
        image_shape: (H, W, C), C being 1 or 3.

    Returns:
        (H, W, C).

    Raises:
        InputError: It is none of these.
    """
    picture = image if isinstance(image, Image.Image) else Image.fromarray(_numbers(image))
    if isinstance(picture, JpegImageFile) and picture.tile and picture.filename and not picture.tell():
        # Not read from its file yet: a reduced size can be read, without reducing the picture that the caller holds.
        return decode(Path(os.fsdecode(picture.filename)), image_shape, math.inf)
    try:
        return _fitted(picture, image_shape)
    except (OSError, ValueError) as error:
        raise InputError(f"a picture of mode {picture.mode} cannot be used: {error}") from error


def size_of(image: object) -> tuple[int, int]:
    """Return height and width of an image as `to_pixels` takes it; of a picture, when it is upright.

    Raises:
        InputError: It is none.
    """
    if not isinstance(image, Image.Image):
        height, width = _array(image).shape[:2]
        return height, width
    width, height = image.size
    return (width, height) if image.getexif().get(Base.Orientation) in _TURNED else (height, width)


def _fitted(picture: Image.Image, image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    height, width, channels = image_shape
    upright = ImageOps.exif_transpose(picture)
    opaque = _without_transparency(_with_eight_bits(upright)).convert("L" if channels == 1 else "RGB")
    fitted = ImageOps.fit(opaque, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(fitted).reshape(image_shape)


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Scale pixels of 16 bits, which Pillow would clip."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown")
    if image.mode != "I" and not image.mode.startswith("I;16"):
        return image
    pixels = np.asarray(image).astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"its pixels go from {pixels.min()} to {pixels.max()}, and 16 bits from 0 to 65535")
    return Image.fromarray(((pixels + 128) // 257).astype(np.uint8))  # rounded; 257 has no half


def _without_transparency(image: Image.Image) -> Image.Image:
    """Put an image in front of white: where it is transparent, it may have any color."""
    if not image.has_transparency_data:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))


def _numbers(image: object) -> NDArray[np.uint8]:
    """Return an array or tensor as (H, W) or (H, W, 3) uint8."""
    array = _array(image)
    if np.issubdtype(array.dtype, np.floating):
        # Written so that NaN, which compares false with everything, is refused too.
        if not (array.min() >= 0 and array.max() <= 1):
            raise InputError(
                f"floating-point images must be in [0, 1], got {array.min():.4g} to {array.max():.4g}: divide by the "
                "largest value, and leave normalization out, which comes later"
            )
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(
            f"an image must be uint8, or floating-point in [0, 1], got {array.dtype}: scale it to 0 … 255 and convert "
            "it by .astype('uint8') or .to(torch.uint8)"
        )
    return np.ascontiguousarray(array)


def _array(image: object) -> NDArray[Any]:
    """Return an array or tensor as (H, W) or (H, W, 3), of the type that it has."""
    if isinstance(image, Tensor):
        values = image.detach().cpu()
        array = (values.float() if values.is_floating_point() else values).numpy()
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise InputError(f"an image must be a picture of Pillow, an array or a tensor, got {type(image).__name__}")
    if array.ndim == 3 and array.shape[0] in CHANNELS and (isinstance(image, Tensor) or array.shape[2] not in CHANNELS):
        array = np.moveaxis(array, 0, 2)
    if not array.size or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS):
        raise InputError(
            f"an image must be (H, W), (H, W, C) or (C, H, W) with 1 or 3 channels, got {tuple(np.shape(image))}"
        )
    return array[:, :, 0] if array.shape[2:] == (1,) else array
