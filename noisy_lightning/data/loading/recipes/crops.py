"""Recipes that look at parts of an image."""

import math
from typing import final

import torch
from torch import Tensor

from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.data.loading.recipes.performing import PLACES, cut_squares
from noisy_lightning.data.loading.recipes.resizing import Boxes, cropped_and_resized
from noisy_lightning.errors import InputError


@final
class RandomResizedCrop(Recipe):
    """Random parts of the image, of random area and aspect ratio, resized (Szegedy et al., CVPR 2015).

    As torchvision draws them: ten boxes, of which the first counts that fits into the image; if none does, the largest
    one in the middle whose aspect ratio is allowed. Bilinear, antialiased.

    Args:
        scale: Smallest and largest share of the area, in (0, 1].
        ratio: Smallest and largest aspect ratio, width by height, > 0.

    Raises:
        InputError: A range is none, or out of bounds.
    """

    crops = False
    zooms = True
    _attempts = 10

    def __init__(self, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)) -> None:
        if not (len(scale) == 2 and 0 < scale[0] <= scale[1] <= 1):
            raise InputError(f"scale must be two shares in (0, 1], the smaller first, got {list(scale)}")
        if not (len(ratio) == 2 and 0 < ratio[0] <= ratio[1]):
            raise InputError(f"ratio must be two numbers above 0, the smaller first, got {list(ratio)}")
        self.scale, self.ratio = scale, ratio

    @property
    def draws(self) -> int:
        """Area and aspect ratio of each attempt, and the place."""
        return 2 * self._attempts + 2

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Crop and resize."""
        return cropped_and_resized(images, self.boxes(draws, images.shape[1], images.shape[2]), size)

    def boxes(self, draws: Tensor, height: int, width: int) -> Boxes:
        """Return the boxes, in pixels, that numbers (B, D) stand for in images of a height and a width."""
        area, ratio = draws[:, : self._attempts], draws[:, self._attempts : 2 * self._attempts]
        area = height * width * (self.scale[0] + (self.scale[1] - self.scale[0]) * area)
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        ratio = (low + (high - low) * ratio).exp()
        widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
        fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
        first = fits.byte().argmax(1, keepdim=True)
        # None fits: the whole image, or as much of its middle as the aspect ratio allows.
        whole_width = min(width, round(height * self.ratio[1]))
        whole_height = min(height, round(width / self.ratio[0]))
        found = fits.any(1)
        box_width = torch.where(found, widths.gather(1, first).squeeze(1), whole_width)
        box_height = torch.where(found, heights.gather(1, first).squeeze(1), whole_height)
        top = torch.where(found, (draws[:, -2] * (height - box_height + 1)).floor(), (height - whole_height) // 2)
        left = torch.where(found, (draws[:, -1] * (width - box_width + 1)).floor(), (width - whole_width) // 2)
        return Boxes(top, left, box_height, box_width)


@final
class Cutout(Recipe):
    """A square anywhere, filled with the mean color of the data set (DeVries and Taylor, 2017).

    Args:
        size: Side of the square as a share of that of the image, in (0, 1]; half of it in the paper, for CIFAR-10.

    Raises:
        InputError: It is out of range.
    """

    draws = PLACES

    def __init__(self, size: float = 0.5) -> None:
        if not 0 < size <= 1:
            raise InputError(f"size must be in (0, 1], got {size}")
        self.size = size

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Cut out."""
        return cut_squares(images, torch.full((len(images),), self.size), draws, mean)
