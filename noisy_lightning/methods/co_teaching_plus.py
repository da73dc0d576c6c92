"""Co-teaching+: Yu, Han, Yao, Niu, Tsang and Sugiyama, ICML 2019."""

from collections.abc import Collection
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.ranks import total
from noisy_lightning.methods.parts.small_loss import mean_of_kept, small_loss
from noisy_lightning.methods.parts.small_loss_networks import SmallLossNetworks
from noisy_lightning.types import Step


@final
class CoTeachingPlus(SmallLossNetworks):
    """Co-teaching among the samples that two networks disagree on, which keeps the networks different.

    Until epoch `start_epoch` this is `CoTeaching`. From then on only the n samples of a batch count, on all ranks
    together, for which the two networks predict different classes. Of these, each network selects the ⌊(1 − R)·n⌋ with
    its smallest losses, at least one, and the other network trains on them. Where the networks disagree on no sample,
    both train on the whole batch. A sample whose loss is NaN is not selected, except in that last case.

    The first network gives the logits. The authors report both networks, and so do the metrics. Recorded are the mean
    of both networks' losses, and as `kept` the mean of both selections: 0, 0.5 or 1.

    Deviations from the authors' code, which
    - divides each mean loss once more by the number of selected samples; see `CoTeaching`.
    - selects all disagreements where (1 − R)·n is below 1.
    - trains on the whole batch where the networks disagree on none only while epoch · batch, a product of their two
      numbers, is below 5000; otherwise it skips the step.
    - drops the last disagreement of a batch where the sample of index 0 is among them.
    - does not train in epoch 0.
    One optimizer minimizes the sum of both losses, as in `CoTeaching`.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        forget_rate: τ, the share that is left out in the end: `estimate`, from held-out predictions after
            `warm_up` epochs, up to which agreement does not matter; or a number in [0, 1), the rate of wrong labels in
            the paper; see `CoTeaching`.
        warm_up: E_k >= 0, epochs of the ramp of the forget rate; 10 in the authors' code.
        start_epoch: Epoch >= 0, counted from 0, from which on only disagreements count: 20 for CIFAR-10, 5 for
            CIFAR-100, 0 for MNIST, 100 for Tiny-ImageNet.
        exponent: c > 0 of the ramp, as in `CoTeaching`; 1 in the paper.
        double_softmax: Whether the losses of disagreements are computed from probabilities in place of logits, as in
            the authors' code. Cross-entropy of 10 classes then lies between 1.46 and 2.46, whatever a network
            predicts. The recorded losses still come from logits.

    Raises:
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    started: Tensor
    """Whether the current epoch is among those in which only disagreements count, ()."""

    def __init__(
        self,
        problem: Problem,
        forget_rate: float | Literal["estimate"] = "estimate",
        warm_up: int = 10,
        start_epoch: int = 20,
        exponent: float = 1.0,
        double_softmax: bool = False,
    ) -> None:
        check_range("start_epoch", start_epoch, "[0, inf)")
        super().__init__(problem, forget_rate, warm_up, exponent)
        self.start_epoch, self.double_softmax = start_epoch, double_softmax
        self.register_buffer("started", torch.tensor(False))

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the forget rate reaches its end, and when only disagreements begin to count."""
        return {"warm_up": self.forgetting.warm_up, "start_epoch": self.start_epoch + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedules."""
        self.forgetting.update(context, self.first, self.second)
        self.started.fill_(context.epoch >= self.start_epoch)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Let each network select the other's samples among the disagreements."""
        first, second = self.first(image), self.second(image)
        losses = (self.loss(first, label) + self.loss(second, label)) / 2
        losses_first, losses_second = self._losses(first, label), self._losses(second, label)
        among = (first.argmax(1) != second.argmax(1)) | ~self.started | self.forgetting.measuring
        none = total(among.sum()) == 0
        by_first = small_loss(losses_first, index, self.forgetting.remember_rate, among) | none
        by_second = small_loss(losses_second, index, self.forgetting.remember_rate, among) | none
        for_first, for_second = self.forgetting.learned_by(index)
        by_first, by_second, least = by_first & for_second, by_second & for_first, self.forgetting.least
        first_learns, second_learns = self.weighted(losses_first, label), self.weighted(losses_second, label)
        loss = mean_of_kept(first_learns, by_second, least) + mean_of_kept(second_learns, by_first, least)
        return Step(loss, losses, first, (by_first.float() + by_second.float()) / 2)

    def _losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the losses (B,) that select and teach."""
        losses: Tensor = self.loss(logits, label)
        if not self.double_softmax:
            return losses
        return torch.where(self.started, self.loss(log_probabilities(logits).exp(), label), losses)
