"""Co-teaching+: Yu, Han, Yao, Niu, Tsang and Sugiyama, ICML 2019."""

from typing import Literal, final

import torch
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.ranks import total
from noisy_lightning.methods.parts.small_loss import mean_of_kept, small_loss
from noisy_lightning.types import Step


@final
class CoTeachingPlus(Method):
    """Co-teaching among the samples that two networks disagree on, which keeps them from becoming one.

    Up to epoch `start_epoch` this is `CoTeaching`. From then on, of the n samples of a batch, all ranks together, for
    which the two networks predict different classes, each network selects the ⌊(1 − R)·n⌋ with its smallest losses, at
    least one, and the other network trains on these. Where they disagree on none, both train on the whole batch. A
    sample whose loss is NaN is not selected, but for that last case.

    The first network gives the logits; the authors report both, and so do the metrics. Recorded are the mean of both
    networks' losses, and as kept the mean of both selections: 0, 0.5 or 1.

    Deviations from the authors' code, which
    - divides each mean loss once more by the number of samples selected; see `CoTeaching`.
    - selects all disagreements where (1 − R)·n is below 1.
    - trains on the whole batch where none disagree only while epoch · batch, a product of their two numbers, is below
      5000, else skips the step.
    - drops the last disagreement of a batch where the sample of index 0 is among them.
    - does not train in epoch 0.
    One optimizer minimises the sum of both losses, which comes to the same as two, but for gradient clipping by norm,
    which sees both as one.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        forget_rate: τ, what is left out in the end: `estimate`, the share of high losses in the first half of
            `warm_up`, in which nothing is then left out, for labels that nobody has checked; or a number in [0, 1). The
            paper takes the rate of wrong labels, which an experiment knows. The estimate is the nearer the truth, the
            easier right labels are to learn; where wrong ones are soon memorised it comes out too low.
        warm_up: E_k >= 0, epochs of the ramp of the forget rate; 10 in the authors' code.
        start_epoch: Epoch >= 0, counted from 0, from which on only disagreements count: 20 for CIFAR-10, 5 for
            CIFAR-100, 0 for MNIST, 100 for Tiny-ImageNet.
        exponent: c > 0 of the ramp, as in `CoTeaching`; 1 in the paper.
        double_softmax: Whether the losses of disagreements are computed from probabilities in place of logits, as in
            the authors' code. Cross-entropy of 10 classes then lies between 1.46 and 2.46, whatever a network
            predicts. The losses recorded are from logits all the same.

    Raises:
        ValueError: A value is out of range.
    """

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
        super().__init__()
        check_range("start_epoch", start_epoch, "[0, inf)")
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.loss = problem.loss
        self.forgetting = ForgetRate(forget_rate, warm_up, exponent, problem.num_samples)
        self.start_epoch, self.double_softmax = start_epoch, double_softmax
        self.register_buffer("started", torch.tensor(False))

    @property
    def oracle(self) -> bool:
        """Whether the forget rate was given: it is chosen by the rate of wrong labels."""
        return self.forgetting.given is not None

    def forward(self, image: Tensor) -> Tensor:
        """Return the first network's logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.first(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return the second network."""
        return {"second": self.second}

    def scalars(self) -> dict[str, Tensor]:
        """Return the forget rate, and the estimated noise rate if it is estimated."""
        return self.forgetting.scalars()

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedule."""
        self.forgetting.update(context.epoch)
        self.started.fill_(context.epoch >= self.start_epoch)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Let each network select the other's samples among the disagreements."""
        first, second = self.first(image), self.second(image)
        losses = (self.loss(first, label) + self.loss(second, label)) / 2
        self.forgetting.note(index, losses)
        losses_first, losses_second = self._losses(first, label), self._losses(second, label)
        among = (first.argmax(1) != second.argmax(1)) | ~self.started
        none = total(among.sum()) == 0
        by_first = small_loss(losses_first, index, self.forgetting.remember_rate, among) | none
        by_second = small_loss(losses_second, index, self.forgetting.remember_rate, among) | none
        loss = mean_of_kept(losses_first, by_second) + mean_of_kept(losses_second, by_first)
        return Step(loss, losses, first, (by_first.float() + by_second.float()) / 2)

    def _losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the losses (B,) that select and teach."""
        losses: Tensor = self.loss(logits, label)
        if not self.double_softmax:
            return losses
        return torch.where(self.started, self.loss(log_probabilities(logits).exp(), label), losses)
