"""Reverse and symmetric cross-entropy: Wang et al., "Symmetric Cross Entropy", ICCV 2019."""

import math
from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import (
    at_label,
    complement,
    expected_loss,
    floor,
    is_hard,
    log_probabilities,
)
from noisy_lightning.losses.ranges import check_range


def reverse_cross_entropy(log_p: Tensor, target: Tensor, log_zero: float) -> Tensor:
    """Return −Σ_k p_k log t_k (B,) with log 0 := log_zero, from log p (B, K)."""
    if is_hard(log_p, target):
        return -log_zero * complement(at_label(log_p, target))
    # Stopping the logarithm at log_zero extends the definition to probabilities that are small but not 0.
    return -(log_p.exp() * target.to(log_p.dtype).clamp_min(math.exp(log_zero)).log()).sum(1)


@final
class ReverseCrossEntropy(RobustLoss):
    """Reverse cross-entropy −Σ_k p_k log t_k with log 0 := A, which is −A (1 − p_y) for a hard label y.

    A multiple of the mean absolute error, so as robust and as slow to learn. The paper argues with A = −4; the
    code behind its tables, and that of "Normalized Loss Functions" (Ma et al. 2020), clamps the one-hot label at
    1e-4, that is A = −9.2103. Their clamp of p at 1e-7 changes the loss by less than 1e-6 K and is left out.

    Args:
        log_zero: A, what the logarithm of zero counts as, in (-inf, 0).

    Raises:
        ValueError: if log_zero is out of range.
    """

    def __init__(self, log_zero: float = -4.0) -> None:
        super().__init__()
        check_range("log_zero", log_zero, "(-inf, 0)")
        self.log_zero = log_zero

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return reverse_cross_entropy(log_probabilities(logits), target, self.log_zero)


@final
class SymmetricCrossEntropy(RobustLoss):
    """Symmetric cross-entropy α·CE + β·RCE.

    Args:
        alpha: weight of the cross-entropy, in [0, inf). The paper has 0.1 for CIFAR-10, 6 for CIFAR-100 and 0.01
            for MNIST; Ouellette and Mahmoud (2023) have 1.
        beta: weight of the reverse cross-entropy, in [0, inf). The paper has 1, and 0.1 for CIFAR-100;
            Ouellette and Mahmoud have 1.
        log_zero: what the logarithm of zero counts as, in (-inf, 0). The code behind the paper's tables, and
            theirs, has -9.2103, the logarithm of 1e-4.
        min_probability: probabilities are clamped from below at this, in [0, 1), in the cross-entropy, which then
            gives samples under it no gradient. 0 is the paper; the code behind its tables has 1e-7.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self, alpha: float = 0.1, beta: float = 1.0, log_zero: float = -4.0, min_probability: float = 0.0
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, "[0, inf)")
        check_range("beta", beta, "[0, inf)")
        check_range("log_zero", log_zero, "(-inf, 0)")
        check_range("min_probability", min_probability, "[0, 1)")
        self.alpha = alpha
        self.beta = beta
        self.log_zero = log_zero
        self.min_probability = min_probability

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        cross_entropy = -expected_loss(lambda log_p: floor(log_p, self.min_probability), log_p, target)
        return self.alpha * cross_entropy + self.beta * reverse_cross_entropy(log_p, target, self.log_zero)
