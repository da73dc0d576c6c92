"""Generalized cross-entropy: Zhang and Sabuncu, NeurIPS 2018."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import at_label, expected_loss, floor, log_probabilities, require_hard
from noisy_lightning.losses.ranges import check_range


def box_cox(log_p: Tensor, q: float) -> Tensor:
    """Return (1 − p^q)/q elementwise."""
    return -torch.expm1(q * log_p) / q


@final
class GeneralizedCrossEntropy(RobustLoss):
    """Generalized cross-entropy (1 − p_y^q)/q, between cross-entropy (q → 0) and 1 − p_y (q = 1).

    Soft targets give the mean over the target.

    Args:
        q: the exponent, in (0, 1]. The paper has 0.7.
        min_probability: p is clamped from below at this, in [0, 1); samples under it get no gradient. 0 is the
            paper; the code of "Normalized Loss Functions" (Ma et al. 2020), and so its tables, have 1e-7, which matters
            at small q only.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, q: float = 0.7, min_probability: float = 0.0) -> None:
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
        log_p = log_probabilities(logits)
        return expected_loss(lambda log_p: box_cox(floor(log_p, self.min_probability), self.q), log_p, target)


@final
class TruncatedGeneralizedCrossEntropy(RobustLoss):
    """Truncated generalized cross-entropy: GCE of p_y, but constant, without gradient, where p_y ≤ k.

    A network that starts at p_y = 1/K ≤ k would learn nothing: as in the paper, train with the untruncated loss
    first (its code: 40 epochs). There the samples to prune are also fixed for ten epochs at a time by a stored
    network, chosen on the test set in its code; here each step decides by the network's current p_y.

    Args:
        q: the exponent, in (0, 1]. The paper has 0.7.
        threshold: k, in [0, 1). The paper has 0.5.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, q: float = 0.7, threshold: float = 0.5) -> None:
        super().__init__()
        check_range("q", q, "(0, 1]")
        check_range("threshold", threshold, "[0, 1)")
        self.q = q
        self.threshold = threshold

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,).

        Raises:
            ValueError: if target is soft or, on CPU, a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        require_hard(log_p, target, "the truncation keeps or drops a sample by the probability of its one label")
        return box_cox(floor(at_label(log_p, target), self.threshold), self.q)
