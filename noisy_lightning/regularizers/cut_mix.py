"""CutMix: Yun, Han, Oh, Chun, Choe and Yoo, ICCV 2019."""

import math
from typing import Any, final

import numpy as np

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.regularizers.base import Mixing


@final
class CutMix(Mixing):
    """Images with a box out of another one, and losses weighted by how much of the image each label has.

    In a share `probability` of the batches, λ ~ Beta(α, α) gives the sides of the box, ⌊H·√(1 − λ)⌋ and ⌊W·√(1 − λ)⌋
    pixels. Its center is any pixel; it reaches ⌊side / 2⌋ pixels to either side of that, and is clipped at the image's
    edges. λ is then 1 minus its share of the image. For what is minimized and recorded, see `Mixing`; where the box is
    the larger part, it is the sample itself that stands in the box.

    Args:
        probability: Share of the batches in [0, 1] that are mixed; 0.5 in the paper for CIFAR, 1 for ImageNet.
        alpha: α > 0; 1 in the paper.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, probability: float = 0.5, alpha: float = 1.0) -> None:
        check_range("probability", probability, "[0, 1]")
        check_range("alpha", alpha, "(0, inf)")
        self.probability, self.alpha = probability, alpha

    def draw(self, random: np.random.Generator, height: int, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return 0 in the box and 1 outside of it (H, W), or 1 (1, 1) for a batch that is not mixed.

        Raises:
            InputError: The images are single pixels, as features are.
        """
        if height * width == 1:
            raise InputError("model.mixing: CutMix cuts boxes out of images, not out of features: choose MixUp")
        if random.random() >= self.probability:
            return np.ones((1, 1))
        side = math.sqrt(1 - random.beta(self.alpha, self.alpha))
        own = np.ones((height, width))
        own[_span(random, height, side), _span(random, width, side)] = 0
        return own


def _span(random: np.random.Generator, length: int, side: float) -> slice:
    """Return which pixels of a dimension the box covers, by its side as a share of the image's."""
    center, half = int(random.integers(length)), int(length * side) // 2
    return slice(max(center - half, 0), min(center + half, length))
