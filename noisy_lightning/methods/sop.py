"""SOP, sparse over-parameterization: Liu, Zhu, Qu and You, ICML 2022."""

from typing import final

from torch import Tensor

from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.over_parameters import (
    OverParameterized,
    cross_entropy,
    shifted_probabilities,
    squared_distance,
    squares,
)
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.types import Step


@final
class SOP(OverParameterized):
    """One network, and for each sample parameters of its own that learn what is wrong with its label.

    A sample's parameters u (a number) and v (one per class) give s: u² at the given label, −v² elsewhere, both clamped
    to at most 1. The network is trained by the cross-entropy of p + s, clamped from below to 1e-4 and divided by its
    sum, so that a label that u explains asks nothing more of it. u learns from the same cross-entropy, v from
    ‖onehot(argmax p) + s − onehot(ỹ)‖², both by plain SGD at constant rates. As they start from almost 0 and enter as
    squares, they grow slowly, and only where the gradient persists. This keeps s sparse.

    `noise_rate`, which is logged, is the mean of u² over the training samples: the share of labels explained away.

    The network is trained by that cross-entropy whatever loss the run has; the loss of the run is recorded, of p.
    `SOPPlus` adds consistency between two views of an image, and class balance.

    With gradient accumulation, all batches between two optimizer steps count as one batch for u and v. In fp16, a step
    that the optimizer skips because of infinite gradients still counts for them.

    Args:
        problem: The task.
        lr_u: Learning rate >= 0 of u. In the paper 10 for CIFAR-10 and 1 for CIFAR-100; the authors' later code asks
            for 0.1 with asymmetric noise on CIFAR-100. These are made for its 120 epochs and more: from 1e-8, u takes
            about 18 / log(1 + 4·lr_u / batch size) epochs to explain a label away, at 10 and 128 samples 68 epochs,
            at 100 only 13. A run that is shorter warns.
        lr_v: Learning rate >= 0 of v, of which the same holds. In the paper 10, and 100 for asymmetric noise.
        initial_std: Standard deviation > 0 of u and v at the start; 1e-8 in the paper.
        square_moves_u: Whether u also learns from the squared distance, as in the authors' code. An earlier version of
            it leaves that to v.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        problem: Problem,
        lr_u: float = 10.0,
        lr_v: float = 10.0,
        initial_std: float = 1e-8,
        square_moves_u: bool = True,
    ) -> None:
        super().__init__(problem, lr_u, lr_v, initial_std)
        self.square_moves_u = square_moves_u

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average both losses, of which the second concerns u and v alone."""
        logits = self.backbone(image)
        u, v = self.samples.read(index)
        at_given, elsewhere = squares(label, u, v)
        losses = cross_entropy(shifted_probabilities(logits, at_given, elsewhere), label)
        moving = at_given if self.square_moves_u else at_given.detach()
        distance = squared_distance(logits, label, moving, elsewhere)
        self.samples.learn(index, u, v, losses + distance)
        return Step(batch_mean(losses + distance.detach()), self.loss(logits, label), logits)
