"""Active negative loss: Ye et al., "Active Negative Loss Functions for Learning with Noisy Labels", NeurIPS 2023.

The paper adds δ‖θ‖₁ over all parameters in place of weight decay. A loss per sample cannot hold it: give δ as
`--model.l1_decay` and set the optimizer's weight_decay to 0. δ is 1e-6 for MNIST, 5e-5 for CIFAR-10, 5e-7 for
CIFAR-100, 5e-6 for WebVision.
"""

import math
from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.focal import focal
from noisy_lightning.losses.normalized import normalized
from noisy_lightning.losses.probabilities import floor, log_probabilities
from noisy_lightning.losses.ranges import check_range


def normalized_negative(losses: Tensor, target: Tensor, largest: float) -> Tensor:
    """Return 1 − (A − L_y)/Σ_k (A − L_k), from one loss per class (B, K) and A, the largest loss."""
    return 1 - normalized(largest - losses, target)


@final
class ActiveNegativeCrossEntropy(RobustLoss):
    """ANL-CE: α·NCE + β·NNCE, where NNCE = 1 − (A + log p_y)/Σ_k (A + log p_k) and A = −log p_min.

    The L1 term of the paper is `--model.l1_decay`: see the module.

    Args:
        alpha: weight of the normalized cross-entropy, in [0, inf). The paper has 5 for CIFAR-10, 10 for CIFAR-100,
            1 for MNIST, 20 for WebVision.
        beta: weight of its normalized negative, in [0, inf). The paper has 5 for CIFAR-10, else 1.
        min_probability: p_min, in (0, 1) and below 1/K: in NNCE smaller probabilities count as this and get no
            gradient. The paper has 1e-7.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, alpha: float = 5.0, beta: float = 5.0, min_probability: float = 1e-7) -> None:
        super().__init__()
        check_range("alpha", alpha, "[0, inf)")
        check_range("beta", beta, "[0, inf)")
        check_range("min_probability", min_probability, "(0, 1)")
        self.alpha = alpha
        self.beta = beta
        self.min_probability = min_probability

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        negative = normalized_negative(
            -floor(log_p, self.min_probability), target, largest=-math.log(self.min_probability)
        )
        return self.alpha * normalized(log_p, target) + self.beta * negative


@final
class ActiveNegativeFocalLoss(RobustLoss):
    """ANL-FL: α·NFL + β·NNFL, where NNFL = 1 − (A − FL_y)/Σ_k (A − FL_k) and A is the focal loss at p_min.

    The L1 term of the paper is `--model.l1_decay`: see the module.

    Args:
        alpha: weight of the normalized focal loss, in [0, inf). Values as for ANL-CE.
        beta: weight of its normalized negative, in [0, inf). Values as for ANL-CE.
        gamma: the exponent of the focal loss, in [0, inf). The paper has 0.5.
        min_probability: p_min, in (0, 1) and below 1/K: in NNFL smaller probabilities count as this and get no
            gradient. The paper has 1e-7.
        detach_factor: let no gradient flow through the factors (1 − p)^γ. False is the paper's formula; True is
            its code, and so its tables.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        alpha: float = 5.0,
        beta: float = 5.0,
        *,
        gamma: float = 0.5,
        min_probability: float = 1e-7,
        detach_factor: bool = False,
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, "[0, inf)")
        check_range("beta", beta, "[0, inf)")
        check_range("gamma", gamma, "[0, inf)")
        check_range("min_probability", min_probability, "(0, 1)")
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.min_probability = min_probability
        self.detach_factor = detach_factor

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        positive = normalized(focal(log_p, self.gamma, self.detach_factor), target)
        floored = focal(floor(log_p, self.min_probability), self.gamma, self.detach_factor)
        largest = -((1 - self.min_probability) ** self.gamma) * math.log(self.min_probability)
        return self.alpha * positive + self.beta * normalized_negative(floored, target, largest)
