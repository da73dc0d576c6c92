"""Bi-tempered logistic loss: Amid, Warmuth, Anil and Koren, "Robust Bi-Tempered Logistic Loss", NeurIPS 2019."""

import math
from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import expected, is_hard, log_probabilities
from noisy_lightning.losses.ranges import check_range


def log_t(log_u: Tensor, t: float) -> Tensor:
    """Return log_t u = (u^(1 − t) − 1)/(1 − t) from log u, for t in [0, 1]; log_1 is the logarithm, from −87 up."""
    if t == 1:
        return log_u.clamp_min(math.log(torch.finfo(log_u.dtype).tiny))  # what lies outside the support is −inf
    return torch.expm1((1 - t) * log_u) / (1 - t)


def log_exp_t(u: Tensor, t: float) -> Tensor:
    """Return the logarithm of exp_t u = max(0, 1 + (1 − t) u)^(1/(1 − t)): −inf, without gradient, where that is 0.

    Args:
        u: any shape.
        t: the temperature, in (0, inf) but not 1, where exp_t is the exponential function.
    """
    scaled = (1 - t) * u
    inside = scaled > -1
    return torch.where(inside, torch.log1p(torch.where(inside, scaled, 0)) / (1 - t), -math.inf)


def log_tempered_softmax(logits: Tensor, t: float) -> Tensor:
    """Return the logarithms (B, K) of p_k = exp_t(z_k − λ), with λ such that Σ_k p_k = 1, in float32 or better.

    λ comes from Newton's method on (Σ_k p_k)^(1 − t) = 1, which is linear in λ where all logits are equal, and else
    bends so that no step from the largest logit on goes too far.

    Args:
        logits: (B, K).
        t: the temperature, in (0, inf).
    """
    if t == 1:
        return log_probabilities(logits)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    below = logits - logits.amax(1, keepdim=True).detach()
    shift = torch.zeros_like(below[:, :1])
    with torch.no_grad():  # as many steps as the worst of 1000 logits, in float64, needed at temperatures up to 10
        for _ in range(3 + math.ceil(3 * abs(math.log(t)))):
            shift = _newton(below, shift, t)
    for _ in range(2):  # give λ its first and its second derivative
        shift = _newton(below, shift, t)
    return log_exp_t(below - shift, t)


def _newton(below: Tensor, shift: Tensor, t: float) -> Tensor:
    log_p = log_exp_t(below - shift, t)
    log_sum = log_p.logsumexp(1, keepdim=True)
    log_slope = (t * log_p).logsumexp(1, keepdim=True)  # the derivative of exp_t is its power t
    return shift + torch.expm1((1 - t) * log_sum) / (1 - t) * (t * log_sum - log_slope).exp()


@final
class BiTemperedLogistic(RobustLoss):
    """Bi-tempered logistic loss Σ_k y_k (log_t1 y_k − log_t1 p_k) − (y_k^(2 − t1) − p_k^(2 − t1))/(2 − t1).

    p is the tempered softmax p_k = exp_t2(z_k − λ), λ such that Σ_k p_k = 1; log_t u = (u^(1 − t) − 1)/(1 − t), and
    exp_t is its inverse. t1 < 1 bounds the loss of a label, by 1/(1 − t1), so that outliers far away do not dominate;
    t2 > 1 gives p a heavy tail, so that wrong labels near the boundary stretch it less. With both at 1 it is
    cross-entropy, less the entropy of a soft target, as in the authors' code for JAX (that for TensorFlow keeps it).

    Deviation: λ is iterated until it is exact. The authors stop after five iterations: equal to six digits for a few
    classes, but off by 1e-4 for 10 and 6e-3 for 100 classes. Their 1e-10 within log_t1 is not needed.

    Args:
        t1: temperature of the logarithm, in [0, 1].
        t2: temperature of the softmax, in (0, inf); below 1 improbable classes get p = 0, and where that is the label,
            no gradient. Reported for the paper: (t1, t2) = (0.8, 1.2) for CIFAR-100, (0.5, 4) for MNIST.
        label_smoothing: s, in [0, 1) and at most 1 − 1/K: the label counts 1 − s, and each other class s/(K − 1).

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(self, t1: float = 0.8, t2: float = 1.2, label_smoothing: float = 0.0) -> None:
        super().__init__()
        check_range("t1", t1, "[0, 1]")
        check_range("t2", t2, "(0, inf)")
        check_range("label_smoothing", label_smoothing, "[0, 1)")
        self.t1 = t1
        self.t2 = t2
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: if label_smoothing is above 1 − 1/K or, on CPU, a label lies outside [0, K).
        """
        num_classes = logits.shape[1]
        if self.label_smoothing > 1 - 1 / num_classes:
            raise ValueError(
                f"label_smoothing must be at most 1 - 1/K, {1 - 1 / num_classes:g} here, got {self.label_smoothing}"
            )
        spread = self.label_smoothing / (num_classes - 1)
        kept = max(1 - num_classes * spread, 0)
        log_p = log_tempered_softmax(logits, self.t2)
        gains = log_t(log_p, self.t1)
        gain = kept * expected(gains, target) + spread * gains.sum(1)
        # Of a hard label, the constant is the same for all classes.
        hard = is_hard(logits, target)
        own = torch.eye(1, num_classes, dtype=log_p.dtype, device=log_p.device) if hard else target.to(log_p.dtype)
        own = kept * own + spread
        constant = (own * log_t(own.log(), self.t1)).sum(1) - self._norm(own.log())
        return constant - gain + self._norm(log_p)

    def _norm(self, log_u: Tensor) -> Tensor:
        return ((2 - self.t1) * log_u).exp().sum(1) / (2 - self.t1)
