"""Mean absolute error: Ghosh, Kumar and Sastry, "Robust Loss Functions under Label Noise", AAAI 2017."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import at_label, complement, is_hard, log_probabilities


@final
class MeanAbsoluteError(RobustLoss):
    """Mean absolute error Σ_k |p_k − t_k|, which is 2 (1 − p_y) for a hard label y; in [0, 2].

    Symmetric, hence robust to symmetric noise, but slow to learn: a sample's gradient vanishes with its p_y.
    "Mean" is the paper's name; nothing is divided by K. Scales differ between sources: the code of "Normalized
    Loss Functions" (Ma et al. 2020) and of "Active Negative Loss" has 1 − p_y, half of this; Kathuria has
    (2/K)(1 − p_y). Multiply weights from there by 1/2 or 1/K.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        if is_hard(log_p, target):
            return 2 * complement(at_label(log_p, target))
        return (log_p.exp() - target).abs().sum(1)
