"""Confidence penalty: Pereyra, Tucker, Chorowski, Kaiser and Hinton, ICLR 2017 (workshop)."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.cross_entropy import CrossEntropy
from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class ConfidencePenalty(RobustLoss):
    """Any loss minus β·H(p), where H(p) = −Σ_k p_k log p_k is the entropy of the prediction: against overconfidence.

    The losses can be negative, down to β·log K below those of the loss itself. A method that ranks samples ranks them
    with the penalty.

    Args:
        loss: what is penalized; CrossEntropy() if not given, as in the paper.
        beta: β, in [0, inf); the paper finds 0.1 for CIFAR-10 and 1 for MNIST.

    Raises:
        ValueError: if beta is out of range.
    """

    def __init__(self, loss: RobustLoss | None = None, beta: float = 0.1) -> None:
        super().__init__()
        check_range("beta", beta, "[0, inf)")
        self.loss = loss or CrossEntropy()
        self.beta = beta

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,), or (B, K) probabilities if the loss takes them.

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        losses: Tensor = self.loss(logits, target)
        log_p = log_probabilities(logits)
        return losses + self.beta * (log_p.exp() * log_p).sum(1)
