"""Asymmetric losses: Zhou et al., "Asymmetric Loss Functions for Learning with Noisy Labels", ICML 2021."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import expected_loss, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class AsymmetricGCE(RobustLoss):
    """Asymmetric generalized cross-entropy ((a + 1)^q − (a + p_y)^q) / q.

    Soft targets give the mean over the target.

    Args:
        a: offset of the probability, in (0, inf).
        q: the exponent, in (0, inf). The paper's code has (a, q) = (0.6, 0.6) for CIFAR-10, (6, 1.5) there beside
            NCE, (1.8, 3) for CIFAR-100 and (4, 0.2) for MNIST.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, a: float = 0.6, q: float = 0.6) -> None:
        super().__init__()
        check_range("a", a, "(0, inf)")
        check_range("q", q, "(0, inf)")
        self.a = a
        self.q = q

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return expected_loss(self._of_label, log_probabilities(logits), target)

    def _of_label(self, log_p: Tensor) -> Tensor:
        powers: Tensor = (self.a + 1) ** self.q - (self.a + log_p.exp()) ** self.q
        return powers / self.q


@final
class AUL(RobustLoss):
    """Asymmetric unhinged loss ((a − p_y)^q − (a − 1)^q) / q, "AUE" in the paper's code.

    Soft targets give the mean over the target.

    Args:
        a: what the probability is subtracted from, in (1, inf).
        q: the exponent, in (0, inf). The paper's code has (a, q) = (5.5, 3) for CIFAR-10, (6.3, 1.5) there beside
            NCE, (6, 3) for CIFAR-100 and (3, 0.1) for MNIST.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, a: float = 5.5, q: float = 3.0) -> None:
        super().__init__()
        check_range("a", a, "(1, inf)")
        check_range("q", q, "(0, inf)")
        self.a = a
        self.q = q

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return expected_loss(self._of_label, log_probabilities(logits), target)

    def _of_label(self, log_p: Tensor) -> Tensor:
        powers: Tensor = (self.a - log_p.exp()) ** self.q - (self.a - 1) ** self.q
        return powers / self.q


@final
class AEL(RobustLoss):
    """Asymmetric exponential loss exp(−p_y / a).

    Soft targets give the mean over the target.

    Args:
        a: scale of the probability, in (0, inf). The paper's code has 2.5 for CIFAR-10, 5 there beside NCE, 1.5
            for CIFAR-100 and 3.5 for MNIST.

    Raises:
        ValueError: if a is out of range.
    """

    def __init__(self, a: float = 2.5) -> None:
        super().__init__()
        check_range("a", a, "(0, inf)")
        self.a = a

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        return expected_loss(lambda log_p: torch.exp(-log_p.exp() / self.a), log_probabilities(logits), target)
