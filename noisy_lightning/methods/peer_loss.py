"""Peer loss: Liu and Guo, ICML 2020."""

import bisect
import itertools
from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.random_labels import RandomLabels
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.types import Step

_LEAST = 1e-5  # added to probabilities, as in the authors' code: without it the loss would have no lower bound


@final
class PeerLoss(OneNetwork):
    """One network that is to fit the given labels, but not those of other samples.

    The loss is mean ℓ(f(x_i), ỹ_i) − α·mean ℓ(f(x_j), ỹ_k): the second term punishes a network that agrees with labels
    which have nothing to do with the image, as one does that fits noise. No noise rate is needed. In ℓ, 1e-5 is added
    to each probability, and these are divided by their sum.

    x_j are images of a second batch, from a pass over the training part in an order of its own, and ỹ_k given labels of
    a third. While α is 0 the second batch is not looked at. α follows a curve, which `alpha` gives as points.

    Logged is `alpha`. Recorded are the losses ℓ(f(x_i), ỹ_i) without 1e-5.

    Deviations: the authors shuffle anew for each batch, take its peers' images from the first batch of that order and
    their labels from the second; here both orders last an epoch, so that each image and each label is a peer once. They
    divide the learning rate by 1 + α, which for SGD without momentum and weight decay is the same as `divide`; and they
    make a new optimizer for each epoch, so that momentum begins anew, and leave incomplete batches out. The division of
    1 + K·1e-5 makes no difference to the gradient; cross-entropy is log(1 + K·1e-5) larger for it.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        alpha: α as "epoch,α,epoch,α,…", epochs counted from 0 and ascending: on a line between two points, constant
            before the first and after the last. The default is the authors' for CIFAR-10. For CIFAR-100 they have
            99,0,100,0.95, for MNIST 0 for 120 epochs, then up to 1.
        divide: Whether the loss is divided by 1 + α.

    Raises:
        ValueError: `alpha` is no such curve, or has an α below 0.
    """

    alpha_now: Tensor
    """(), α of the current epoch."""

    def __init__(
        self,
        problem: Problem,
        alpha: str = "20,0,39,0.1,40,1,89,2,90,2,139,2.5,140,2.5,239,3.3,240,3.3,339,5",
        divide: bool = True,
    ) -> None:
        super().__init__(problem)
        self.curve, self.divide = parse_curve(alpha), divide
        self.peers = RandomLabels(problem.num_samples)
        self.register_buffer("alpha_now", torch.zeros(()))

    def companions(self, trained: Tensor) -> Tensor:
        """Return the whole training part."""
        return trained

    def scalars(self) -> dict[str, Tensor]:
        """Return α."""
        return {"alpha": self.alpha_now}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when α reaches its end."""
        return {"alpha": self.curve[-1][0] + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the curve; draw the peers' labels."""
        self.alpha_now.fill_(value_at(self.curve, context.epoch))
        self.peers.draw(context)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Subtract the mean loss of the peers."""
        logits = self.backbone(image)
        loss = batch_mean(self.loss(bounded(logits), label))
        if self.alpha_now > 0:
            assert self.companion is not None
            other, other_index = self.companion
            peers = self.loss(bounded(self.backbone(other)), self.peers.read(other_index))
            loss = loss - self.alpha_now * batch_mean(peers)
        return Step(loss / (1 + self.alpha_now) if self.divide else loss, self.loss(logits, label), logits)


def bounded(logits: Tensor) -> Tensor:
    """Return log(p + 1e-5) (B, K) of logits (B, K)."""
    return (log_probabilities(logits).exp() + _LEAST).log()


def parse_curve(points: str) -> list[tuple[float, float]]:
    """Return the points (epoch, α) of a curve "epoch,α,epoch,α,…".

    Raises:
        ValueError: It is no such text, the epochs do not ascend, or an α is below 0.
    """
    try:
        numbers = [float(cell) for cell in points.split(",")]
        curve = list(zip(numbers[::2], numbers[1::2], strict=True))
    except ValueError:
        curve = []
    ascend = all(one[0] < other[0] for one, other in itertools.pairwise(curve))
    if not curve or not ascend or not all(epoch >= 0 and 0 <= value < float("inf") for epoch, value in curve):
        raise ValueError(f"alpha must be pairs of an epoch and a value >= 0, with ascending epochs, got {points!r}")
    return curve


def value_at(curve: list[tuple[float, float]], epoch: int) -> float:
    """Return the value of a curve at an epoch: on a line between two points, constant before and after all."""
    after = bisect.bisect_right(curve, (epoch, float("inf")))
    if after in (0, len(curve)):
        return curve[max(0, after - 1)][1]
    (start, low), (end, high) = curve[after - 1], curve[after]
    return low + (high - low) * (epoch - start) / (end - start)
