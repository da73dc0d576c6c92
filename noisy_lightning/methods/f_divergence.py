"""Robust f-divergence measures: Wei and Liu, ICLR 2021."""

import math
from typing import Literal, final, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from noisy_lightning.losses.probabilities import at_label, log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.random_labels import RandomLabels
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.types import Step

Divergence = Literal["total_variation", "jensen_shannon", "pearson", "kl", "jeffrey"]


@final
class FDivergence(OneNetwork):
    """One network whose predictions and given labels are to be as far from independent as they can be.

    For `warm_up` epochs the network learns by the plain loss. Then it maximizes the variational form of an f-divergence
    between the joint distribution of predictions and labels and the product of both, mean g(v) − mean f*(g(v′)): v is
    the probability of a sample's given label, v′ that of a random label for the image of another sample. The forms, by
    v and v′:

    | | g(v) | f*(g(v′)) |
    | --- | --- | --- |
    | `total_variation` | tanh(v) / 2 | tanh(v′) / 2 |
    | `jensen_shannon` | log 2 − log(1 + e^−v) | v′ + log(1 + e^−v′) − log 2 |
    | `pearson` | v | v′²/4 + v′ |
    | `kl` | v | e^(v′ − 1) |
    | `jeffrey` | v | v′ + v′²/4 + v′³/16 |

    The last is the authors' code's, the first terms of a series for what the paper has.

    Images are those of a second batch, from a pass over the training part in an order of its own. Labels are the given
    ones of a third, or any with equal probability. Logged is `divergence`, the mean of the last epoch; it says more of
    such a network than accuracy on noisy validation labels, by which epochs are chosen here. Recorded are the plain
    losses.

    Deviations: the authors shuffle anew for each batch, and make a new optimizer for each epoch; see `PeerLoss`. They
    choose the epoch that the second stage begins from by the accuracy on noisy validation labels, and its best epoch by
    the divergence there.

    Args:
        problem: The task; any loss for the warm-up, cross-entropy in the paper.
        divergence: Which one.
        warm_up: Epochs >= 0 by the plain loss; 240 in the authors' code.
        added: What is added to probabilities, >= 0; 1e-5 in the authors' code for CIFAR-100, else 0.
        random_labels: `given`: those of other samples. `uniform`: any, as the authors have it for Clothing1M.

    Raises:
        ValueError: A value is out of range.
    """

    warm: Tensor
    """(), bool: whether the warm-up is over."""
    reached: Tensor
    """(2,) sum over this epoch's steps of the divergence, and their number."""

    def __init__(
        self,
        problem: Problem,
        divergence: Divergence = "total_variation",
        warm_up: int = 240,
        added: float = 0.0,
        random_labels: Literal["given", "uniform"] = "given",
    ) -> None:
        check_range("warm_up", warm_up, "[0, inf)")
        check_range("added", added, "[0, inf)")
        if divergence not in get_args(Divergence):
            raise ValueError(f"divergence must be one of {', '.join(get_args(Divergence))}, got {divergence!r}")
        if random_labels not in ("given", "uniform"):
            raise ValueError(f"random_labels must be given or uniform, got {random_labels!r}")
        super().__init__(problem)
        self.divergence: Divergence = divergence
        self.warm_up, self.added = warm_up, added
        self.peers = RandomLabels(problem.num_samples, problem.num_classes if random_labels == "uniform" else None)
        self.register_buffer("warm", torch.zeros((), dtype=torch.bool))
        self.register_buffer("reached", torch.zeros(2))

    def companions(self, trained: Tensor) -> Tensor:
        """Return the whole training part."""
        return trained

    def scalars(self) -> dict[str, Tensor]:
        """Return the mean divergence of the epoch, once the warm-up is over."""
        return {"divergence": self.reached[0] / self.reached[1]} if self.reached[1] > 0 else {}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the warm-up is over."""
        return {"warm_up": self.warm_up + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Draw the random labels."""
        self.warm.fill_(context.epoch >= self.warm_up)
        self.reached.zero_()
        self.peers.draw(context)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Maximize the divergence, in the warm-up minimize the mean loss."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        if not self.warm:
            return Step(batch_mean(losses), losses, logits)
        assert self.companion is not None
        other, other_index = self.companion
        joint = self._probability(logits, label)
        product = self._probability(self.backbone(other), self.peers.read(other_index))
        loss = batch_mean(conjugate(self.divergence, product)) - batch_mean(activation(self.divergence, joint))
        self.reached.add_(torch.stack([total(-loss) / world_size(), torch.ones_like(loss)]))
        return Step(loss, losses, logits)

    def _probability(self, logits: Tensor, label: Tensor) -> Tensor:
        return at_label(log_probabilities(logits).exp(), label) + self.added


def activation(divergence: Divergence, v: Tensor) -> Tensor:
    """Return g(v), elementwise."""
    if divergence == "total_variation":
        return v.tanh() / 2
    return math.log(2) - F.softplus(-v) if divergence == "jensen_shannon" else v


def conjugate(divergence: Divergence, v: Tensor) -> Tensor:
    """Return f*(g(v)), elementwise."""
    if divergence == "total_variation":
        return v.tanh() / 2
    if divergence == "jensen_shannon":
        return v + F.softplus(-v) - math.log(2)
    if divergence == "pearson":
        return v.square() / 4 + v
    return (v - 1).exp() if divergence == "kl" else v + v.square() / 4 + v**3 / 16
