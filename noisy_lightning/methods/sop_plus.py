"""SOP+, sparse over-parameterization with consistency and balance: Liu, Zhu, Qu and You, ICML 2022."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional as F

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.over_parameters import (
    OverParameterized,
    cross_entropy,
    shifted_probabilities,
    squared_distance,
    squares,
)
from noisy_lightning.methods.parts.ranks import batch_mean, total
from noisy_lightning.types import Step, View


@final
class SOPPlus(OverParameterized):
    """`SOP` whose network should also predict the same for two views of an image, and all classes equally often.

    Two terms are added to the loss of the first view: `consistency` times the mean KL(p₁ ‖ p₂), without gradient in the
    first view's probabilities p₁, and `balance` times −(1/K) Σ_k log q̄_k, where q̄ is the mean of p₁ + s, as in `SOP`,
    over the batch on all ranks together. Both views pass through the network as one batch. Where classes differ in
    size, `balance` should be 0.

    What is said of `SOP` holds here too. The first view is weak, the second one strong: `data.strong_augmentation`,
    which is AutoAugment for CIFAR-10 in the authors' code.

    Args:
        problem: The task.
        lr_u: Learning rate >= 0 of u; see `SOP`.
        lr_v: Learning rate >= 0 of v; see `SOP`.
        consistency: Weight λ_C >= 0; 0.9 in the paper.
        balance: Weight λ_B >= 0; 0.1 in the paper.
        initial_std: Standard deviation > 0 of u and v at the start; 1e-8 in the paper.
        square_moves_u: Whether u also learns from the squared distance; see `SOP`.

    Raises:
        ValueError: A value is out of range.
    """

    views: ClassVar[Sequence[View]] = ("weak", "strong")

    def __init__(
        self,
        problem: Problem,
        lr_u: float = 10.0,
        lr_v: float = 10.0,
        consistency: float = 0.9,
        balance: float = 0.1,
        initial_std: float = 1e-8,
        square_moves_u: bool = True,
    ) -> None:
        check_range("consistency", consistency, "[0, inf)")
        check_range("balance", balance, "[0, inf)")
        super().__init__(problem, lr_u, lr_v, initial_std)
        self.consistency, self.balance, self.square_moves_u = consistency, balance, square_moves_u

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the four losses of two views; the first one's logits and losses are recorded."""
        logits, second = self.backbone(image.flatten(0, 1)).chunk(2)
        u, v = self.samples.read(index)
        at_given, elsewhere = squares(label, u, v)
        q = shifted_probabilities(logits, at_given, elsewhere)
        moving = at_given if self.square_moves_u else at_given.detach()
        distance = squared_distance(logits, label, moving, elsewhere)
        losses = cross_entropy(q, label) + self.balance * imbalance(q)
        self.samples.learn(index, u, v, losses + distance)
        losses = losses + self.consistency * kl_divergence(logits.detach(), second)
        return Step(batch_mean(losses + distance.detach()), self.loss(logits, label), logits)


def kl_divergence(logits: Tensor, others: Tensor) -> Tensor:
    """Return KL(p ‖ p') (B,) of the probabilities that two logits (B, K) stand for."""
    log_p, log_other = log_probabilities(logits), log_probabilities(others)
    return F.kl_div(log_other, log_p, reduction="none", log_target=True).sum(1)


def imbalance(q: Tensor) -> Tensor:
    """Return losses (B,) with the value and, in their mean, the gradient of −(1/K) Σ_k log q̄_k.

    Args:
        q: (B, K) probabilities, > 0, of this rank's samples; q̄ is their mean over all ranks.
    """
    sums = total(torch.cat([q.sum(0), q.new_tensor([len(q)])]))
    mean = sums[:-1] / sums[-1]
    share = (q / mean).mean(1)  # what a sample adds to Σ_k log q̄_k / K, to first order
    return share.detach() - share - mean.log().mean()
