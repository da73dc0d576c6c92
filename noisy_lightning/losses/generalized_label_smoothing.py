"""Generalized label smoothing: Wei et al., "To Smooth or Not? When Label Smoothing Meets Noisy Labels", ICML 2022."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.label_smoothing import smoothed_cross_entropy
from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class GeneralizedLabelSmoothing(RobustLoss):
    """Generalized label smoothing (1 − r)·CE − (r/K) Σ_k log p_k, with a rate that may be negative.

    A negative rate, "negative label smoothing" (NLS), lets the label count more than 1 and every other class less than
    0: the more labels are wrong, the lower the rate that the paper finds best. Then the loss has no lower bound: it
    goes on falling as a prediction grows surer, and negative losses are no mistake. The paper's code therefore trains
    with cross-entropy first where many labels are wrong (120 epochs), then 100 epochs at a learning rate of 1e-6.

    Args:
        smooth_rate: r, in (-inf, 1); 0 is cross-entropy, above 0 it is `LabelSmoothing`. The paper tries 0.8, 0.6, 0.4,
            0.2, 0, -0.2, -0.4, -0.6, -0.8, -1, -2, -4, -6 and -8.

    Raises:
        ValueError: if smooth_rate is out of range.
    """

    def __init__(self, smooth_rate: float = -0.4) -> None:
        super().__init__()
        check_range("smooth_rate", smooth_rate, "(-inf, 1)")
        self.smooth_rate = smooth_rate

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return smoothed_cross_entropy(log_probabilities(logits), target, self.smooth_rate)
