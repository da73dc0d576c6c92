"""Focal loss: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import complement, expected_loss, log_probabilities
from noisy_lightning.losses.ranges import check_range


def focal(log_p: Tensor, gamma: float, detach_factor: bool) -> Tensor:
    """Return −(1 − p)^γ log p elementwise; with detach_factor, no gradient flows through (1 − p)^γ."""
    # At p = 1 the derivative of (1 − p)^γ is infinite for γ < 1, where the loss's own is 0: stop short of it.
    factor = complement(log_p).clamp_min(torch.finfo(log_p.dtype).tiny) ** gamma
    return -(factor.detach() if detach_factor else factor) * log_p


@final
class FocalLoss(RobustLoss):
    """Focal loss −α (1 − p_y)^γ log p_y (eq. 5), which turns from samples that are already right.

    It favors hard samples, hence wrong labels: a baseline, not a robust loss. Soft targets give the mean over the
    target.

    Args:
        gamma: the exponent γ, in [0, inf); 0 is cross-entropy. The paper and Kathuria's report have 2. The
            notebook of Kim and Kang (2023) trained on this loss with 0.5 and called it normalized.
        alpha: the factor α, in (0, inf), the same for all classes. Kathuria has 1.
        detach_factor: let no gradient flow through (1 − p_y)^γ. False is the paper, and both of these; True is
            the code of "Normalized Loss Functions" (Ma et al. 2020) and its tables.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 1.0, detach_factor: bool = False) -> None:
        super().__init__()
        check_range("gamma", gamma, "[0, inf)")
        check_range("alpha", alpha, "(0, inf)")
        self.gamma = gamma
        self.alpha = alpha
        self.detach_factor = detach_factor

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        return self.alpha * expected_loss(lambda log_p: focal(log_p, self.gamma, self.detach_factor), log_p, target)
