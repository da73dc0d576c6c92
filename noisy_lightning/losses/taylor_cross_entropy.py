"""Taylor cross-entropy: Feng et al., "Can Cross Entropy Loss Be Robust to Label Noise?", IJCAI 2020."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import complement, expected_loss, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class TaylorCrossEntropy(RobustLoss):
    """Taylor cross-entropy Σ_{t=1..n} (1 − p_y)^t / t, the series of −log p_y cut after n terms.

    From 1 − p_y (n = 1), robust and slow, to cross-entropy (n → ∞). Not the Taylor softmax, which much public
    code means by this name. Soft targets give the mean over the target.

    Args:
        order: n, at least 1. The paper tunes it from 2 to 6.

    Raises:
        ValueError: if order is out of range.
    """

    exponents: Tensor

    def __init__(self, order: int = 2) -> None:
        super().__init__()
        check_range("order", order, "[1, inf)")
        self.register_buffer("exponents", torch.arange(1, order + 1), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return expected_loss(self._series, log_probabilities(logits), target)

    def _series(self, log_p: Tensor) -> Tensor:
        return (complement(log_p).unsqueeze(-1) ** self.exponents / self.exponents).sum(-1)
