"""Co-teaching: Han, Yao, Yu, Niu, Xu, Hu, Tsang and Sugiyama, NeurIPS 2018."""

from collections.abc import Collection
from typing import ClassVar, Literal, final

from torch import Tensor

from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.ranks import total
from noisy_lightning.methods.parts.small_loss import mean_of_kept, small_loss
from noisy_lightning.methods.parts.small_loss_networks import SmallLossNetworks
from noisy_lightning.types import Step


@final
class CoTeaching(SmallLossNetworks):
    """Two networks, each of which trains on the samples of a batch that have the smallest losses in the other.

    Networks fit right labels before wrong ones, so a small loss suggests a right label; and since each network selects
    for the other one, neither confirms its own mistakes. Of the B samples of a batch, on all ranks together, each
    network selects ⌊(1 − R)·B⌋, at least one. The forget rate R grows linearly from 0 in epoch 0 to `forget_rate` in
    epoch `warm_up` − 1. A sample whose loss is NaN is not selected.

    The first network gives the logits. The authors report both networks, and so do the metrics. Recorded are the mean
    of both networks' losses, and as `kept` the mean of both selections: 0, 0.5 or 1.

    Deviations: one optimizer minimizes the sum of both losses, which is the same as two, because the networks share no
    weights; but clipping gradients by norm treats both networks as one. The authors do not train in epoch 0, so that
    their ramp is one epoch ahead.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        forget_rate: τ, the share that is left out in the end. `estimate`, for labels that nobody has checked: in the
            `warm_up` epochs, at most half of all, a quarter of the samples, another one for each network, is held out,
            and everything else is learned from. Then the rate is counted, and holds from there on without a ramp: how
            often the given label is another one where a network is surest of a class, among what it has not seen. See
            `ForgetRate` for how near it comes. Or a number in [0, 1); the paper uses the rate of wrong labels, which an
            experiment knows.
        warm_up: T_k >= 0, epochs of the ramp; 10 in the paper.
        exponent: c > 0; 1 in the paper. The ramp ends at τ^c, and τ follows: for c other than 1 with a jump, as in the
            authors' code. The paper has T^c for the epoch T.
        divide_twice: Whether to divide each network's mean loss once more by the number of selected samples, as the
            authors' code does. Adam, which they use, hardly notices; SGD would learn at a hundredth of its rate.

    Raises:
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    def __init__(
        self,
        problem: Problem,
        forget_rate: float | Literal["estimate"] = "estimate",
        warm_up: int = 10,
        exponent: float = 1.0,
        divide_twice: bool = False,
    ) -> None:
        super().__init__(problem, forget_rate, warm_up, exponent)
        self.divide_twice = divide_twice

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the forget rate reaches its end."""
        return {"warm_up": self.forgetting.warm_up}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedule of the forget rate."""
        self.forgetting.update(context, self.first, self.second)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Let each network select the other's samples."""
        logits = self.first(image)
        losses_first, losses_second = self.loss(logits, label), self.loss(self.second(image), label)
        losses = (losses_first + losses_second) / 2
        for_first, for_second = self.forgetting.learned_by(index)
        by_first = small_loss(losses_first, index, self.forgetting.remember_rate) & for_second
        by_second = small_loss(losses_second, index, self.forgetting.remember_rate) & for_first
        least = self.forgetting.least
        loss_first = mean_of_kept(self.weighted(losses_first, label), by_second, least)
        loss_second = mean_of_kept(self.weighted(losses_second, label), by_first, least)
        if self.divide_twice:
            loss_first, loss_second = loss_first / total(by_second.sum()), loss_second / total(by_first.sum())
        return Step(loss_first + loss_second, losses, logits, (by_first.float() + by_second.float()) / 2)
