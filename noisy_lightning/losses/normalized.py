"""Normalized losses: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.focal import focal
from noisy_lightning.losses.generalized_cross_entropy import box_cox
from noisy_lightning.losses.probabilities import expected, floor, log_probabilities
from noisy_lightning.losses.ranges import check_range


def normalized(losses: Tensor, target: Tensor) -> Tensor:
    """Return the target's loss over the sum of those of all classes, from one loss per class (B, K)."""
    return expected(losses, target) / losses.sum(1)


@final
class NormalizedCrossEntropy(RobustLoss):
    """Normalized cross-entropy log p_y / Σ_k log p_k; in [0, 1].

    The cross-entropy of the given label over the sum of the cross-entropies of all labels: symmetric, hence
    robust to symmetric noise, and active: alone it underfits. Kathuria's report calls 1 − exp(−CE/T) by the same name,
    which is `ExponentialNormalized`; Kim and Kang (2023) call CE over the prediction's entropy so, which is
    `EntropyNormalizedCrossEntropy`.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return normalized(log_probabilities(logits), target)


@final
class NormalizedFocalLoss(RobustLoss):
    """Normalized focal loss (1 − p_y)^γ log p_y / Σ_k (1 − p_k)^γ log p_k; in [0, 1].

    Kathuria's report calls 1 − exp(−FL/T) by the same name: `ExponentialNormalized(FocalLoss())`. The notebook of
    Kim and Kang (2023) trained on the plain `FocalLoss(gamma=0.5)` instead.

    Args:
        gamma: the exponent γ, in [0, inf); 0 is the normalized cross-entropy. The paper has 0.5.
        detach_factor: let no gradient flow through the factors (1 − p)^γ. False is the paper's formula; True is
            its code, and that of "Active Negative Loss", and their tables.

    Raises:
        ValueError: if gamma is out of range.
    """

    def __init__(self, gamma: float = 0.5, detach_factor: bool = False) -> None:
        super().__init__()
        check_range("gamma", gamma, "[0, inf)")
        self.gamma = gamma
        self.detach_factor = detach_factor

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return normalized(focal(log_probabilities(logits), self.gamma, self.detach_factor), target)


@final
class NormalizedGeneralizedCrossEntropy(RobustLoss):
    """Normalized generalized cross-entropy (1 − p_y^q)/(K − Σ_k p_k^q); in [0, 1].

    Args:
        q: the exponent, in (0, 1]; 1 is (1 − p_y)/(K − 1). The paper's code has 0.1 for CIFAR-10 and MNIST, 0.7
            for CIFAR-100.
        min_probability: p is clamped from below at this, in [0, 1); classes under it get no gradient. 0 is the
            paper's formula; its code, and so its tables, have 1e-7.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, q: float = 0.1, min_probability: float = 0.0) -> None:
        super().__init__()
        check_range("q", q, "(0, 1]")
        check_range("min_probability", min_probability, "[0, 1)")
        self.q = q
        self.min_probability = min_probability

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return normalized(box_cox(floor(log_probabilities(logits), self.min_probability), self.q), target)
