"""ε-softmax: Wang et al., "ε-Softmax", NeurIPS 2024."""

import math
from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.focal import focal
from noisy_lightning.losses.mean_absolute_error import MeanAbsoluteError
from noisy_lightning.losses.probabilities import complement, expected, floor, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class EpsilonSoftmax(RobustLoss):
    """ε-softmax in cross-entropy or focal loss, with the mean absolute error: α·L_ε + β·MAE.

    L_ε = −(1 − q_y)^γ log q_y, where q = (p + m·h)/(m + 1) and h is the one-hot vector of the most probable class: at
    most 2/(m + 1), which is ε, away from it. The robustness is MAE's, Σ_k |p_k − t_k| of the plain softmax p, which is
    2 (1 − p_y); what L_ε adds is fitting. γ = 0 is the paper's "CE_ε + MAE" ("ECEandMAE" in its code), 0.1 its
    "FL_ε + MAE" ("EFLandMAE"); β = 0 leaves L_ε, and m = 0 makes that cross-entropy or focal loss. Soft targets give
    the mean over the target.

    Args:
        alpha: weight of L_ε, in [0, inf). The paper's code has 0.01 for CIFAR-10 with symmetric, 0.02 with asymmetric
            and 0.045 with instance-dependent noise; for CIFAR-100 with symmetric noise of 0, 0.2, 0.4, 0.6, 0.8 it has
            0.1, 0.05, 0.03, 0.00125, 0.0075, with asymmetric noise of 0.1 to 0.4 0.015, 0.007, 0.005, 0.004; 0.015 for
            WebVision, 0.012 for Clothing1M.
        beta: weight of the mean absolute error, in [0, inf). The paper's code has 5 for CIFAR-10, 10 there with
            instance-dependent noise, 1 for CIFAR-100, 0.3 for WebVision, 0.1 for Clothing1M.
        m: how much is added to the most probable class, in [0, inf). The paper's code has 1e5 for CIFAR-10, 1e4 for
            CIFAR-100, and with asymmetric noise 1e3 and 1e2; 1e3 for WebVision and Clothing1M.
        gamma: the exponent γ, in [0, inf); 0 is cross-entropy.
        min_probability: q is clamped from below at this, in [0, 1): a label that is not the most probable class gets
            no gradient of L_ε where p_y < (m + 1) times it. The paper's code has 1e-8, which matters: with m = 1e5
            that is p_y < 0.001.
        detach_factor: let no gradient flow through (1 − q_y)^γ. False is the formula; True is the paper's code.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        alpha: float = 0.01,
        beta: float = 5.0,
        m: float = 1e5,
        *,
        gamma: float = 0.0,
        min_probability: float = 1e-8,
        detach_factor: bool = False,
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, "[0, inf)")
        check_range("beta", beta, "[0, inf)")
        check_range("m", m, "[0, inf)")
        check_range("gamma", gamma, "[0, inf)")
        check_range("min_probability", min_probability, "[0, 1)")
        self.alpha = alpha
        self.beta = beta
        self.m = m
        self.gamma = gamma
        self.min_probability = min_probability
        self.detach_factor = detach_factor
        self.mean_absolute_error = MeanAbsoluteError()

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_q = floor(self._log_q(log_probabilities(logits)), self.min_probability)
        losses = focal(log_q, self.gamma, self.detach_factor) if self.gamma else -log_q
        absolute: Tensor = self.mean_absolute_error(logits, target)
        return self.alpha * expected(losses, target) + self.beta * absolute

    def _log_q(self, log_p: Tensor) -> Tensor:
        most_probable = log_p.argmax(1, keepdim=True)
        # Its 1 − q is (1 − p)/(m + 1), in which no digit is lost as q nears 1.
        largest = torch.log1p(complement(log_p.gather(1, most_probable)) / -(self.m + 1))
        return (log_p - math.log1p(self.m)).scatter(1, most_probable, largest)
