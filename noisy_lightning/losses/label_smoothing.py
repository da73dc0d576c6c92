"""Label smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import expected, log_probabilities
from noisy_lightning.losses.ranges import check_range


def smoothed_cross_entropy(log_p: Tensor, target: Tensor, smooth_rate: float) -> Tensor:
    """Return (1 − r)·CE − (r/K) Σ_k log p_k (B,), from log p (B, K) and the rate r."""
    return (smooth_rate - 1) * expected(log_p, target) - smooth_rate * log_p.mean(1)


@final
class LabelSmoothing(RobustLoss):
    """Label smoothing (1 − r)·CE − (r/K) Σ_k log p_k: cross-entropy to a label that counts 1 − r + r/K.

    Each other class counts r/K. It is PyTorch's `label_smoothing`; others give the label 1 − s and each other class
    s/(K − 1), which is this with r = s K/(K − 1). The baseline of Lukasik et al., "Does label smoothing mitigate label
    noise?" (ICML 2020), and of Wei et al. (ICML 2022), whose negative rates are `GeneralizedLabelSmoothing`. Unbounded.

    Args:
        smooth_rate: r, in [0, 1); 0 is cross-entropy. The paper has 0.1.

    Raises:
        ValueError: if smooth_rate is out of range.
    """

    def __init__(self, smooth_rate: float = 0.1) -> None:
        super().__init__()
        check_range("smooth_rate", smooth_rate, "[0, 1)")
        self.smooth_rate = smooth_rate

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return smoothed_cross_entropy(log_probabilities(logits), target, self.smooth_rate)
