"""Random changes of color."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.data.loading.recipes.performing import PLACES, perform
from noisy_lightning.errors import InputError


@final
class ColorJitter(Recipe):
    """Random brightness, contrast, saturation and hue, in random order, as torchvision draws them.

    Args:
        brightness: A factor is drawn from [max(0, 1 − brightness), 1 + brightness]; >= 0.
        contrast: Likewise.
        saturation: Likewise.
        hue: The hue is turned by up to this share of the circle, either way; in [0, 1/2].

    Raises:
        InputError: A value is out of range.
    """

    draws = 8

    def __init__(
        self, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1
    ) -> None:
        for name, value in {"brightness": brightness, "contrast": contrast, "saturation": saturation}.items():
            if not value >= 0:
                raise InputError(f"{name} must be at least 0, got {value}")
        if not 0 <= hue <= 0.5:
            raise InputError(f"hue must be in [0, 1/2], got {hue}")
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply all four, in an order of its own for each image."""
        names = ["Brightness", "Contrast", "Color", "Hue"]
        ranges = [(max(0.0, 1 - v), 1 + v) for v in (self.brightness, self.contrast, self.saturation)]
        low, high = torch.tensor([*ranges, (-self.hue, self.hue)], dtype=torch.float64).T
        strengths = low + (high - low) * draws[:, :4]
        nowhere = draws.new_zeros(len(draws), PLACES)
        for chosen in draws[:, 4:].argsort(1).T:
            strength = strengths.gather(1, chosen[:, None]).squeeze(1)
            images = perform(images, names, chosen, strength, nowhere, 0, mean)
        return images
