"""JoCoR, joint training with co-regularization: Wei, Feng, Chen and An, CVPR 2020."""

from collections.abc import Collection
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.small_loss import mean_of_kept, small_loss
from noisy_lightning.methods.parts.small_loss_networks import SmallLossNetworks
from noisy_lightning.types import Step


@final
class JoCoR(SmallLossNetworks):
    """Two networks that train as one, on the samples of a batch with the smallest losses of both networks together.

    Different networks agree on most samples whose label is right, and less often where it is wrong. So the networks are
    drawn toward each other, and their disagreement adds to the loss of a sample. This joint loss is

        ℓ = (1 − λ)·(ℓ₁ + ℓ₂) + λ·(KL(p₁‖p₂) + KL(p₂‖p₁)).

    Of the B samples of a batch, on all ranks together, both networks minimize the mean of the ⌊(1 − R)·B⌋ smallest
    joint losses, at least one; R grows as in `CoTeaching`. The gradient flows through both sides of either divergence.
    A sample whose joint loss is NaN is not selected.

    Class weights multiply ℓ in the mean, not where it selects.

    The first network gives the logits. The authors report both networks, and so do the metrics. Recorded are the mean
    of ℓ₁ and ℓ₂, without the divergence, and as `kept` what was selected.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        forget_rate: τ, the share that is left out in the end: `estimate`, from held-out predictions after
            `warm_up` epochs, up to which there is no divergence, and all other samples are learned from; or a number
            in [0, 1); see `CoTeaching`. The paper uses the rate of wrong labels, and for asymmetric noise, where half
            of the classes have wrong labels, half of the rate in these classes.
        warm_up: T_k >= 0, epochs of the ramp; 10 in the paper.
        exponent: c > 0 of the ramp, as in `CoTeaching`; 1 in the paper.
        co_lambda: λ in [0, 1). The paper has 0.9 for CIFAR-10, but 0.65 where 80 % of the labels are wrong, and 0.85
            for CIFAR-100; its code has 0.1 by default.

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
        co_lambda: float = 0.9,
    ) -> None:
        check_range("co_lambda", co_lambda, "[0, 1)")
        super().__init__(problem, forget_rate, warm_up, exponent)
        self.co_lambda = co_lambda

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the forget rate reaches its end."""
        return {"warm_up": self.forgetting.warm_up}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedule of the forget rate."""
        self.forgetting.update(context, self.first, self.second)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train both networks on the smallest joint losses."""
        first, second = self.first(image), self.second(image)
        losses_first, losses_second = self.loss(first, label), self.loss(second, label)
        supervised = losses_first + losses_second
        joint = (1 - self.co_lambda) * supervised + self.co_lambda * jeffreys_divergence(first, second)
        kept = small_loss(joint, index, self.forgetting.remember_rate)
        loss = mean_of_kept(self.weighted(joint, label), kept)
        if self.forgetting.given is None:
            # The divergence would tell a network of the labels that it is not to see.
            for_first, for_second, least = *self.forgetting.learned_by(index), self.forgetting.least
            apart = mean_of_kept(self.weighted(losses_first, label), kept & for_first, least)
            apart = apart + mean_of_kept(self.weighted(losses_second, label), kept & for_second, least)
            loss = torch.where(self.forgetting.measuring, apart, loss)
        return Step(loss, supervised / 2, first, kept)


def jeffreys_divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return KL(p₁‖p₂) + KL(p₂‖p₁) (B,) of the probabilities that two logits (B, K) stand for."""
    log_first, log_second = log_probabilities(first), log_probabilities(second)
    return ((log_first.exp() - log_second.exp()) * (log_first - log_second)).sum(1)
