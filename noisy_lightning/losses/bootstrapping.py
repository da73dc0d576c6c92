"""Reed et al., "Training Deep Neural Networks on Noisy Labels with Bootstrapping", ICLR workshop 2015."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import at_label, expected, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class Bootstrapping(RobustLoss):
    """Cross-entropy against a blend of the given label and the network's own prediction.

    Soft: −Σ_k (β t_k + (1 − β) p_k) log p_k, the gradient flowing through both p. Hard: p in the
    blend is replaced by the one-hot vector of the most probable class.

    Args:
        beta: weight of the given label, in [0, 1]. The paper has 0.95 for soft and 0.8 for hard.
        hard: blend with the predicted class rather than with the probabilities.

    Raises:
        ValueError: if beta is out of range.
    """

    def __init__(self, beta: float = 0.95, hard: bool = False) -> None:
        super().__init__()
        check_range("beta", beta, "[0, 1]")
        self.beta = beta
        self.hard = hard

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        own = at_label(log_p, log_p.argmax(1)) if self.hard else (log_p.exp() * log_p).sum(1)
        return -self.beta * expected(log_p, target) - (1 - self.beta) * own
