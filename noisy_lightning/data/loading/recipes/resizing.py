"""Parts of images, brought to one size: bilinear and antialiased, each image by a box of its own."""

from typing import NamedTuple

import torch
from torch import Tensor

_SMALL = 64 * 64
"""Pixels up to which an image is resized by products of matrices on a CPU too, and not alone."""


class Boxes(NamedTuple):
    """Parts of images, in pixels, each (B,) float64 on the CPU."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images (B, H', W', C) uint8 resized to (B, H, W, C) uint8; those that have the size stay.

    Args:
        images: The images.
        size: (H, W).
    """
    if images.shape[1:3] == torch.Size(size):
        return images
    from torchvision.transforms.v2 import functional  # noqa: PLC0415  # which takes long to import

    fitted: Tensor = functional.resize(images.permute(0, 3, 1, 2), list(size), antialias=True)
    return fitted.permute(0, 2, 3, 1)


def cropped_and_resized(images: Tensor, boxes: Boxes, size: tuple[int, int]) -> Tensor:
    """Return a part of each image, resized.

    Args:
        images: (B, H', W', C) uint8.
        boxes: The parts, which lie inside.
        size: (H, W).

    Returns:
        (B, H, W, C) uint8.
    """
    if images.device.type == "cpu" and images.shape[1] * images.shape[2] > _SMALL:
        from torchvision.transforms.v2 import functional  # noqa: PLC0415

        planes = images.permute(0, 3, 1, 2)
        parts = [
            functional.resized_crop(image, *(int(edge) for edge in box), list(size), antialias=True)
            for image, box in zip(planes, torch.stack(boxes, 1).tolist(), strict=True)
        ]
        return torch.stack(parts).permute(0, 2, 3, 1)
    rows = _weights(boxes.top, boxes.height, images.shape[1], size[0]).to(images.device)
    columns = _weights(boxes.left, boxes.width, images.shape[2], size[1]).to(images.device)
    fitted = torch.einsum("bhy,byxc,bwx->bhwc", rows, images.float(), columns)
    return fitted.add_(0.5).clamp_(0, 255).to(torch.uint8)


def _weights(start: Tensor, length: Tensor, pixels: int, size: int) -> Tensor:
    """Return the weights (B, size, pixels) float32 of pixels in resized ones: triangles, as wide as these if wider."""
    scale = (length / size)[:, None, None]
    middle = start[:, None, None] + (torch.arange(size)[:, None] + 0.5) * scale
    pixel = torch.arange(pixels) + 0.5
    weights = (1 - (pixel - middle).abs() / scale.clamp(min=1)).clamp(min=0)
    inside = (pixel > start[:, None]) & (pixel < (start + length)[:, None])
    weights = weights * inside[:, None]
    return (weights / weights.sum(2, keepdim=True)).float()
