"""Jensen-Shannon loss: Englesson and Azizpour, "Generalized Jensen-Shannon Divergence Loss", NeurIPS 2021."""

import math
from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import at_label, complement, is_hard, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class JensenShannon(RobustLoss):
    """Scaled Jensen-Shannon divergence (π₁ KL(t‖m) + π₂ KL(p‖m)) / Z between target t and prediction p.

    m = π₁ t + π₂ p is their mixture, π₂ = 1 − π₁, and Z = −π₂ log π₂. Between cross-entropy (π₁ → 0) and the mean
    absolute error (π₁ → 1). The generalized form for two augmentations of an image is not this class. The authors'
    clamp of probabilities at 1e-7 is left out: it is not needed here and changes the loss by as little.

    Args:
        weight: π₁, in (0, 1). The paper tunes it per noise rate.

    Raises:
        ValueError: if weight is out of range.
    """

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        check_range("weight", weight, "(0, 1)")
        self.weight = weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        log_weight, log_rest = math.log(self.weight), math.log1p(-self.weight)
        if is_hard(log_p, target):
            # m_k = π₂ p_k for every class but the label, so that all of them add up in closed form.
            log_p = at_label(log_p, target)
            rest = complement(log_p)
            log_m = torch.log1p(-(1 - self.weight) * rest)
            from_target = -log_m
            from_prediction = log_p.exp() * (log_p - log_m) - log_rest * rest
        else:
            target = target.to(log_p.dtype)
            log_m = torch.logaddexp(target.log() + log_weight, log_p + log_rest)
            from_target = (torch.xlogy(target, target) - target * log_m).sum(1)
            from_prediction = (log_p.exp() * (log_p - log_m)).sum(1)
        return (self.weight * from_target + (1 - self.weight) * from_prediction) / (-(1 - self.weight) * log_rest)
