"""Partially Huberized cross-entropy: Menon et al., "Can gradient clipping mitigate label noise?", ICLR 2020."""

import math
from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import expected_loss, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class PartiallyHuberised(RobustLoss):
    """Partially Huberized cross-entropy: −log p_y where p_y > 1/τ, else its tangent there, −τ p_y + log τ + 1.

    Clipping the derivative by p_y at τ bounds the loss and makes it linear in p_y, hence robust, where it matters.
    Soft targets give the mean over the target.

    Args:
        tau: τ, in [1, inf); 1 is 1 − p_y, large values approach cross-entropy. Reported for the paper: 2 for
            CIFAR-10, 10 for CIFAR-100.

    Raises:
        ValueError: if tau is out of range.
    """

    def __init__(self, tau: float = 2.0) -> None:
        super().__init__()
        check_range("tau", tau, "[1, inf)")
        self.tau = tau

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return expected_loss(self._of_label, log_probabilities(logits), target)

    def _of_label(self, log_p: Tensor) -> Tensor:
        log_tau = math.log(self.tau)
        return torch.where(log_p > -log_tau, -log_p, log_tau + 1 - self.tau * log_p.exp())
