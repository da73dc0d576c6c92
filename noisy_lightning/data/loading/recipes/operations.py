"""What augmentation does to pixels: whole batches at once, on their device, each image with a strength of its own.

Each operation gives what torchvision's `transforms.v2.functional` gives for one image, pixel by pixel.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_GRAY = (0.2989, 0.587, 0.114)  # of red, green and blue, as ITU-R 601 rounds them for torchvision

Tables = Callable[[Tensor, Tensor], Tensor]
"""Makes of images (B, H, W, C) uint8 and strengths (B,) the new values (B, C, 256) of all old ones, not yet cut to
uint8; (B, 1, 256) if they are the same for all channels."""


def moved(images: Tensor, matrix: Tensor, fill: Tensor) -> Tensor:
    """Return images whose pixel at (x, y) is that of the given images at matrix · (x, y, 1), the nearest one there.

    Args:
        images: (B, H, W, C) uint8.
        matrix: (B, 2, 3) of positions in pixels: (0, 0) is the corner of an image, (1/2, 1/2) the middle of a pixel.
        fill: (C,) uint8, what lies outside.
    """
    count, height, width, channels = images.shape
    x, y = (torch.arange(size, device=images.device) + 0.5 for size in (width, height))
    m = matrix[:, :, :, None, None]
    from_x = (m[:, 0, 0] * x + (m[:, 0, 1] * y[:, None] + m[:, 0, 2])).floor_()
    from_y = (m[:, 1, 0] * x + (m[:, 1, 1] * y[:, None] + m[:, 1, 2])).floor_()
    # Half a side is subtracted, so that one comparison says whether a pixel is inside.
    outside = ((from_x - (width - 1) / 2).abs_() > width / 2) | ((from_y - (height - 1) / 2).abs_() > height / 2)
    first = height * width * torch.arange(count, dtype=torch.int32, device=images.device)[:, None, None]
    position = from_y.mul_(width).add_(from_x).int().add_(first)
    pixels = torch.cat([images.reshape(-1, channels), fill[None]])
    position.masked_fill_(outside, len(pixels) - 1)
    return pixels.index_select(0, position.flatten()).view(images.shape)


def sheared_x(slope: Tensor) -> Tensor:
    """Return matrices (B, 2, 3) that shear along x, about the corner, by slopes (B,)."""
    return _affine(slope, x_of_y=slope)


def sheared_y(slope: Tensor) -> Tensor:
    """Return matrices (B, 2, 3) that shear along y, about the corner, by slopes (B,)."""
    return _affine(slope, y_of_x=slope)


def translated(by_x: Tensor, by_y: Tensor) -> Tensor:
    """Return matrices (B, 2, 3) that move images to the right and down by (B,) pixels."""
    return _affine(by_x, x=-by_x, y=-by_y)


def rotated(degrees: Tensor, height: int, width: int) -> Tensor:
    """Return matrices (B, 2, 3) that turn images of a height and a width about their middle, counterclockwise."""
    cosine, sine = (function(degrees.double().deg2rad()) for function in (torch.cos, torch.sin))
    x = width / 2 * (1 - cosine) + height / 2 * sine
    y = height / 2 * (1 - cosine) - width / 2 * sine
    return torch.stack([cosine, -sine, x, sine, cosine, y], 1).view(-1, 2, 3).to(degrees.dtype)


def _affine(
    like: Tensor,
    x_of_y: Tensor | None = None,
    y_of_x: Tensor | None = None,
    x: Tensor | None = None,
    y: Tensor | None = None,
) -> Tensor:
    one, zero = torch.ones_like(like), torch.zeros_like(like)
    first = one, zero if x_of_y is None else x_of_y, zero if x is None else x
    second = zero if y_of_x is None else y_of_x, one, zero if y is None else y
    return torch.stack([*first, *second], 1).view(-1, 2, 3)


def looked_up(images: Tensor, tables: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 with new values by tables (B, C, 256) uint8 of them."""
    count, channels = len(images), images.shape[3]
    first = 256 * torch.arange(count * channels, dtype=torch.int32, device=images.device).view(count, 1, 1, channels)
    # Converted first: a sum of two types is not vectorized.
    return tables.reshape(-1).index_select(0, images.int().add_(first).flatten()).view(images.shape)


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
    pixels = images.flatten(1, 2)
    low, high = pixels.amin(1).float()[:, :, None], pixels.amax(1).float()[:, :, None]
    values = _values(images)
    return torch.where(low == high, values, (values - low) / ((high - low) * (1 / 255)))


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Return tables that make the values of each channel equally frequent, whatever the strengths (B,)."""
    count, channels = len(images), images.shape[3]
    first = 256 * torch.arange(count * channels, dtype=torch.int32, device=images.device).view(count, 1, 1, channels)
    counts = images.int().add_(first).flatten().bincount(minlength=256 * count * channels).view(count, channels, 256)
    highest = (counts.cumsum(2) == counts.sum(2, keepdim=True)).byte().argmax(2, keepdim=True)
    # The pixels of the highest value do not count; where the others are fewer than 255, nothing is changed.
    step = ((counts.sum(2, keepdim=True) - counts.gather(2, highest)) // 255).clamp(min=0)
    below = counts.cumsum(2) - counts
    values = _values(images)
    return torch.where(step > 0, ((below + step // 2) // step.clamp(min=1)).float(), values)


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 whose differences to gray are multiplied by factors (B,) >= 0."""
    if images.shape[3] == 1:
        return images
    return _as_pixels(images * _column(factor) + gray(images)[..., None] * _column(1 - factor))


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
    y, x = (torch.arange(side, device=images.device) for side in images.shape[1:3])
    rows = (y >= top[:, None]) & (y < (top + size)[:, None])
    columns = (x >= left[:, None]) & (x < (left + size)[:, None])
    return torch.where((rows[:, :, None] & columns[:, None])[..., None], fill, images)


def gray(images: Tensor) -> Tensor:
    """Return the brightness (B, H, W) of images (B, H, W, C) uint8, rounded down."""
    if images.shape[3] == 1:
        return images[..., 0].float()
    red, green, blue = images.float().unbind(3)
    return (_GRAY[0] * red).add_(green, alpha=_GRAY[1]).add_(blue, alpha=_GRAY[2]).floor_()


def as_tables(values: Tensor, channels: int) -> Tensor:
    """Return tables (B, C, 256) uint8 of new values (B, C, 256), or (B, 1, 256) for all channels, cut to uint8."""
    return _as_pixels(values).expand(-1, channels, -1)


def _column(factor: Tensor) -> Tensor:
    return factor.float().view(-1, 1, 1, 1)


def _as_pixels(values: Tensor) -> Tensor:
    return values.clamp(0, 255).to(torch.uint8)


def _values(images: Tensor) -> Tensor:
    """Return 0 … 255."""
    return torch.arange(256.0, device=images.device)
