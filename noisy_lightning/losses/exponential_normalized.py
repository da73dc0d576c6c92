"""The "normalized" losses of Kathuria's report."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.cross_entropy import CrossEntropy
from noisy_lightning.losses.ranges import check_range


@final
class ExponentialNormalized(RobustLoss):
    """Any loss L ≥ 0 brought into [0, 1) by 1 − exp(−L/T) (Kathuria, definitions 2.3 and 2.4).

    Bounded, but not what "Normalized Loss Functions" (Ma et al. 2020) means by normalized. Kathuria's "NCE" is this
    over cross-entropy, 1 − p_y^(1/T), which at T = 1 is 1 − p_y, half the mean absolute error and robust as such;
    its "NFL" is this over `FocalLoss(gamma=2)`. Soft targets are accepted where the loss accepts them.

    Args:
        loss: the loss L; CrossEntropy() if not given.
        temperature: T, in (0, inf). Kathuria has 1.

    Raises:
        ValueError: if temperature is out of range.
    """

    def __init__(self, loss: RobustLoss | None = None, temperature: float = 1.0) -> None:
        super().__init__()
        check_range("temperature", temperature, "(0, inf)")
        self.loss = loss or CrossEntropy()
        self.temperature = temperature

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,), or (B, K) probabilities if the loss takes them.

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        losses: Tensor = self.loss(logits, target)
        return -torch.expm1(-losses / self.temperature)
