"""Decoupling "when to update" from "how to update": Malach and Shalev-Shwartz, NeurIPS 2017."""

from collections.abc import Collection
from typing import ClassVar, final

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.networks import TwoNetworks
from noisy_lightning.methods.parts.small_loss import mean_of_kept
from noisy_lightning.types import Step


@final
class Decoupling(TwoNetworks):
    """Two networks, each of which trains on those samples of a batch for which the two predict different classes.

    Late in training, wrong labels dominate among the samples that networks still get wrong, but not among those that
    they disagree on. Each network minimizes the sum of its losses over the disagreements of the whole batch, divided by
    the number of these samples or by `min_share` of the batch, whichever is larger: a few samples do not make a full
    step. Where the networks agree on all samples, neither learns; networks that start with equal weights, both
    pretrained up to the last layer, never do. A sample whose loss is NaN takes part, so that it shows.

    The first network gives the logits. The paper uses either one, and metrics cover both. Recorded are the mean of both
    networks' losses, and as `kept` the samples trained on.

    Deviations: the authors' code is for two classes and weights them by their frequency in the batch, which is left out
    here. So is its alternative to `min_share`, which collects disagreements until they fill a batch. One optimizer
    minimizes the sum of both losses, as in `CoTeaching`.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        warm_up_steps: Optimizer steps >= 0 in which all samples are trained on; 0 in the authors' code by default.
        min_share: In (0, 1]; 0.1 in the authors' code.

    Raises:
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    steps: Tensor
    """Optimizer steps so far, ()."""

    def __init__(self, problem: Problem, warm_up_steps: int = 0, min_share: float = 0.1) -> None:
        check_range("warm_up_steps", warm_up_steps, "[0, inf)")
        check_range("min_share", min_share, "(0, 1]")
        super().__init__(problem)
        self.warm_up_steps, self.min_share = warm_up_steps, min_share
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return how long all samples are trained on."""
        return {"warm_up_steps": (self.warm_up_steps + 1) / context.steps_per_epoch}

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train both networks where they disagree."""
        first, second = self.first(image), self.second(image)
        losses_first, losses_second = self.loss(first, label), self.loss(second, label)
        losses = (losses_first + losses_second) / 2
        kept = (first.argmax(1) != second.argmax(1)) | (self.steps < self.warm_up_steps) | losses.isnan()
        first_learns, second_learns = self.weighted(losses_first, label), self.weighted(losses_second, label)
        loss = mean_of_kept(first_learns, kept, self.min_share) + mean_of_kept(second_learns, kept, self.min_share)
        return Step(loss, losses, first, kept)

    def on_step_end(self) -> None:
        """Count the step."""
        self.steps.add_(1)
