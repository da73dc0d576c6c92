"""MixUp: Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018."""

from typing import Any, final

import numpy as np

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.regularizers.base import Mixing


@final
class MixUp(Mixing):
    """Images that are averages of two, and losses that are the same averages of those of both labels.

    λ ~ Beta(α, α) is drawn once for each batch, as in the authors' code; for what then is minimized and recorded, see
    `Mixing`. Features are mixed as images are.

    Args:
        alpha: α > 0. 1 in the authors' code for CIFAR; against wrong labels the paper tries 1, 2, 8 and 32 on CIFAR-10,
            of which the larger, with λ near 0.5, memorize less.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        check_range("alpha", alpha, "(0, inf)")
        self.alpha = alpha

    def draw(self, random: np.random.Generator, height: int, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return λ (1, 1) for images of any size."""
        return np.full((1, 1), random.beta(self.alpha, self.alpha))
