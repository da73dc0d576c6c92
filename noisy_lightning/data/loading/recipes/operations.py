"""What augmentation does to pixels: whole batches at once, on their device, each image with a strength of its own.

Each operation gives what torchvision's `transforms.v2.functional` gives for one image, pixel by pixel.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GRAY = (0.2989, 0.587, 0.114)  # of red, green and blue, as ITU-R 601 rounds them for torchvision

Floats = NDArray[np.float64]
Entry = Floats | float

Tables = Callable[[Tensor, Tensor], Tensor]
"""Makes of images (B, H, W, C) uint8 and strengths (B,) the new values (B, C, 256) of all old ones, not yet cut to
uint8; (B, 1, 256) if they are the same for all channels."""


def moved(images: Tensor, matrix: Floats, fill: int) -> Tensor:
    """Return images whose pixel at (x, y) is that of the given images at matrix · (x, y, 1), the nearest one there.

    Args:
        images: (B, H, W, C) uint8.
        matrix: (B, 2, 3) of positions in pixels: (0, 0) is the corner of an image, (1/2, 1/2) the middle of a pixel.
        fill: What lies outside, in [0, 255].
    """
    count, height, width, channels = images.shape
    x, y = (_steps(size, images.device, first=0.5) for size in (width, height))
    m = torch.from_numpy(matrix.astype(np.float32)).to(images.device)[:, :, :, None, None]
    # With a frame of one pixel around each image, whatever lies outside is a pixel of the frame.
    framed = images.new_full((count, height + 2, width + 2, channels), fill)
    framed[:, 1:-1, 1:-1] = images
    from_x = (m[:, 0, 0] * x + (m[:, 0, 1] * y[:, None] + m[:, 0, 2])).floor_().clamp_(-1, width)
    from_y = (m[:, 1, 0] * x + (m[:, 1, 1] * y[:, None] + m[:, 1, 2])).floor_().clamp_(-1, height)
    first = _steps(count, images.device, (height + 2) * (width + 2), width + 3, torch.int32)[:, None, None]
    position = from_y.mul_(width + 2).add_(from_x).int().add_(first)
    return framed.view(-1, channels).index_select(0, position.flatten()).view(images.shape)


def sheared_x(slope: Floats) -> Floats:
    """Return matrices (B, 2, 3) that shear along x, about the corner, by slopes (B,)."""
    return _affine(len(slope), x_of_y=slope)


def sheared_y(slope: Floats) -> Floats:
    """Return matrices (B, 2, 3) that shear along y, about the corner, by slopes (B,)."""
    return _affine(len(slope), y_of_x=slope)


def translated(right: Floats, down: Floats) -> Floats:
    """Return matrices (B, 2, 3) that move images by (B,) pixels."""
    return _affine(len(right), x=-right, y=-down)


def rotated(degrees: Floats, height: int, width: int) -> Floats:
    """Return matrices (B, 2, 3) that turn images of a height and a width about their middle, counterclockwise."""
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x = width / 2 * (1 - cosine) + height / 2 * sine
    y = height / 2 * (1 - cosine) - width / 2 * sine
    return _affine(len(degrees), cosine, -sine, x, sine, cosine, y)


def _affine(
    count: int,
    x_of_x: Entry = 1.0,
    x_of_y: Entry = 0.0,
    x: Entry = 0.0,
    y_of_x: Entry = 0.0,
    y_of_y: Entry = 1.0,
    y: Entry = 0.0,
) -> Floats:
    matrices = np.empty((count, 6))
    for place, entry in enumerate((x_of_x, x_of_y, x, y_of_x, y_of_y, y)):
        matrices[:, place] = entry
    return matrices.reshape(-1, 2, 3)


def looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 with new values by tables (B, C, 256) of them, which are cut to uint8."""
    return _as_pixels(tables).reshape(-1).index_select(0, _places_in_tables(images)).view(images.shape)


def _places_in_tables(images: Tensor) -> Tensor:
    """Return, for each value of images (B, H, W, C) uint8, where it stands in (B, C, 256) laid flat: int32."""
    count, _, width, channels = images.shape
    of_image = _steps(count, images.device, 256 * channels, 0, torch.int32)[:, None, None]
    of_channel = _steps(channels, images.device, 256, 0, torch.int32).repeat(width)
    # Converted first, and by whole rows: neither a sum of two types nor one over an axis of 3 is vectorized.
    return images.flatten(2).int().add_(of_image + of_channel).flatten()


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Return tables that multiply all values by factors (B,) >= 0."""
    return factor.float()[:, None, None] * _values(images)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Return tables that multiply differences to the mean gray of an image by factors (B,) >= 0."""
    mean = gray(images).mean((1, 2))
    return (factor.float()[:, None] * _values(images) + ((1 - factor).float() * mean)[:, None])[:, None]


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Return tables that keep the highest (B,) bits of all values, whole numbers in [0, 8]."""
    step = 2 ** (8 - bits)[:, None, None]
    return (_values(images) / step).floor() * step


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Return tables that invert values of at least thresholds (B,) in [0, 256]."""
    values = _values(images)
    return torch.where(values >= threshold[:, None, None], 255 - values, values)


def solarize_add(images: Tensor, addend: Tensor) -> Tensor:
    """Return tables that add (B,) in [0, 255] to values below 128."""
    values = _values(images)
    return torch.where(values < 128, values + addend.floor()[:, None, None], values)


def invert(images: Tensor, strength: Tensor) -> Tensor:
    """Return tables that invert all values, whatever the strengths (B,)."""
    return (255 - _values(images)).expand(len(strength), 1, 256)


def auto_contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Return tables that stretch the values of each channel to [0, 255], whatever the strengths (B,)."""
    count, _, width, channels = images.shape
    # First over rows, which are far longer than an axis of 3, and in a type in which that is vectorized.
    rows = images.flatten(2).float()
    low, high = (
        extreme(extreme(rows, 1).view(count, width, channels), 1)[:, :, None] for extreme in (torch.amin, torch.amax)
    )
    values = _values(images)
    return torch.where(low == high, values, (values - low) / ((high - low) * (1 / 255)))


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Return tables that make the values of each channel equally frequent, whatever the strengths (B,)."""
    count, height, width, channels = images.shape
    counts = _places_in_tables(images).bincount(minlength=256 * count * channels).view(count, channels, 256).int()
    up_to = counts.cumsum(2, dtype=torch.int32)
    # The pixels of the highest value do not count; where the others are fewer than 255, nothing is changed.
    others = up_to.masked_fill(up_to == height * width, 0).amax(2, keepdim=True)
    step = others // 255
    # Quotients of whole numbers up to 2 ** 24 are exact enough for `floor`.
    equal = ((up_to - counts + step // 2).float() / step.clamp(min=1)).floor_()
    return torch.where(step > 0, equal, _values(images))


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 whose differences to gray are multiplied by factors (B,) >= 0."""
    if images.shape[3] == 1:
        return images
    values, by_gray = images.float().mul_(_column(factor)), gray(images).mul_(_column(1 - factor)[..., 0])
    for channel in values.unbind(3):  # as a sum over an axis of 3 is not vectorized
        channel.add_(by_gray)
    return _as_pixels(values)


def sharpened(images: Tensor, factor: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 whose differences to smoothed ones are multiplied by factors (B,) >= 0.

    Pixels at the edge stay as they are, as do images of a side of less than three pixels.
    """
    if min(images.shape[1:3]) < 3:
        return images
    values = images.float()
    rows = values[:, :-2] + values[:, 1:-1] + values[:, 2:]
    around = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = values[:, 1:-1, 1:-1]
    smooth = ((around + 4 * inner) / 13).round_()
    inner += (smooth - inner) * _column(1 - factor)
    return _as_pixels(values)


def hue_turned(images: Tensor, turn: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 whose hue is turned by (B,) of the circle, in [-1/2, 1/2]."""
    if images.shape[3] == 1:
        return images
    rgb = images.float() / 255
    high, low = rgb.amax(3), rgb.amin(3)
    spread = high - low
    divisor = torch.where(spread == 0, 1, spread)[..., None]
    r, g, b = ((high[..., None] - rgb) / divisor).unbind(3)
    red, green = rgb[..., 0] == high, rgb[..., 1] == high
    hue = torch.where(red, b - g, torch.where(green, 2 + r - b, 4 + g - r)) / 6
    turned = (hue.masked_fill(spread == 0, 0) + turn[:, None, None]).remainder(1) * 6
    # Of red, green and blue, each is highest near its own place of the circle; see Wikipedia, "HSL and HSV".
    away = (turned[..., None] + torch.tensor([5.0, 3.0, 1.0], device=images.device)).remainder(6)
    share = torch.minimum(away, 4 - away).clamp(0, 1)
    return _as_pixels((high[..., None] - spread[..., None] * share) * 255.999)  # as torchvision rounds


def cut_out(images: Tensor, top: Tensor, left: Tensor, size: Tensor, fill: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 with squares filled.

    Args:
        images: The images.
        top: (B,) first rows of the squares, also above the image.
        left: (B,) first columns of them.
        size: (B,) sides of them, in pixels.
        fill: (C,) uint8.
    """
    height, width, channels = images.shape[1:]
    y, x = torch.arange(height, device=images.device), torch.arange(width * channels, device=images.device) // channels
    rows = (y >= top[:, None]) & (y < (top + size)[:, None])
    columns = (x >= left[:, None]) & (x < (left + size)[:, None])
    # By whole rows, and by arithmetic of bytes, which wrap around: neither an axis of 3 nor `where` is vectorized.
    values, inside = images.flatten(2), rows.byte()[:, :, None] * columns.byte()[:, None]
    return (values + (fill.repeat(width) - values) * inside).view(images.shape)


def gray(images: Tensor) -> Tensor:
    """Return the brightness (B, H, W) of images (B, H, W, C) uint8, rounded down."""
    if images.shape[3] == 1:
        return images[..., 0].float()
    red, green, blue = images.float().unbind(3)
    return (_GRAY[0] * red).add_(green, alpha=_GRAY[1]).add_(blue, alpha=_GRAY[2]).floor_()


def _column(factor: Tensor) -> Tensor:
    return factor.float().view(-1, 1, 1, 1)


def _as_pixels(values: Tensor) -> Tensor:
    return values.clamp(0, 255).to(torch.uint8)


def _values(images: Tensor) -> Tensor:
    """Return 0 … 255."""
    return _steps(256, images.device)


@lru_cache(maxsize=1024)
def _steps(
    count: int, device: torch.device, step: float = 1.0, first: float = 0.0, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return first, first + step, … (count,), which nobody changes: to make them anew takes as long as to use them."""
    return torch.arange(count, dtype=torch.float64).mul_(step).add_(first).to(device, dtype)
