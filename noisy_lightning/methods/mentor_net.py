"""MentorNet: Jiang, Zhou, Leung, Li and Fei-Fei, ICML 2018."""

from pathlib import Path
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.mentor import Mentor
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import gather, total, world_size
from noisy_lightning.methods.parts.trusted_labels import read_trusted_labels
from noisy_lightning.types import Step

# Up to the first and from the second percentage of training the predefined curriculum is not self-paced.
_ALL_UNTIL, _GRADUAL_FROM = 18, 90


@final
class MentorNet(OneNetwork):
    """One network with a curriculum, which weights samples by their loss and by how far training is.

    The weight v of a sample follows from its loss ℓ and from a, a moving average over the batches of a percentile of
    their losses:

    - `self_paced`: v = 1 where ℓ ≤ a, else 0.
    - `predefined` (MentorNet PD): 1 for all samples up to 18 % of training, then self-paced, and from 90 % on
      1 − (ℓ − a) clipped to [0, 1].
    - `learned` (MentorNet DD): a small network, the mentor, predicts from ℓ, ℓ − a and the percentage of training how
      likely a sample's given label is right. It learns this from the samples of `trusted`, whose losses are written
      down as they occur in training. Training begins with the predefined curriculum. From `warm_up` on, the mentor is
      taught before each epoch, with all that was written down so far, and weights the samples.

    After that, a random part of each batch gets v = 0. The loss is the mean of v·ℓ over the whole batch, including the
    samples left out. The samples of all ranks count as one batch. Recorded as `kept` is v.

    Logged are `loss_average`, which is a, and `mentor_accuracy`, the share of what was written down that the mentor
    classifies correctly.

    The percentage of training counts the samples seen, out of max_epochs times the training part. A loss that is not
    finite gets v = 0 and does not count in a, unless no loss of the batch is finite: then v is 1 and the loss is not
    finite, so that it shows when training has broken down. Where fewer than 5 of the trusted labels in the training
    part confirm the given label, or fewer than 5 correct it, `learned` warns and stays predefined.

    On several ranks, `learned` gives the same result up to rounding, which the mentor's Adam can make larger.

    Deviations: for each of the three, the authors teach a mentor from a first run and use it in a second. Here the
    first two are the formulas that their mentors learn, and the third learns during the one run. Like theirs,
    it is given a fixed percentage when it weights samples. Theirs is `warm_up`, where their teaching stops; here it is
    that of the previous epoch, the last that it was taught about, and one percentage stands for a whole epoch. As in
    the authors' code a starts from 0, so that in the first batches a self-paced curriculum keeps few samples.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        curriculum: One of the above.
        percentile: In [0, 1], of the losses of a batch, rounded to the nearest sample; 0.75 in the authors' commands.
        decay: Of the moving average, in [0, 1); 0.5 in the authors' commands.
        dropout: The share of a batch that gets v = 0, in the authors' notation: a rate in [0, 1] and for how many
            percent of training it holds, then the next pair. The authors have 0.5,17,0.05,83, and 0,100 for
            `self_paced`. Their other default 0.5,17,0.05,78,1,5 stops learning 5 % before the end. A schedule that
            changes by percent is made for runs of hundreds of epochs, and warns in one of fewer than 100: on 6,000
            MNIST images with 50 % wrong labels, 16 epochs end at 84.4 % with the defaults, and at 96.2 % with 0,100 and
            a `percentile` of 0.5 (n = 1).
        weight_decay: λ >= 0 of a penalty λ/2·Σw²·Σv/B on the weights of convolutions and linear layers: as in the
            authors' code, weight decay is smaller where less is learned. 0.0002 there; the optimizer's own should then
            be 0.
        trusted: For `learned`, a CSV file with columns index,label: verified labels of some samples by their position
            in the training set. The paper has about a tenth of CIFAR-10.
        warm_up: Percentage of training, in [1, 99], from which on `learned` uses its mentor; 18 by the authors' code.

    Raises:
        InputError: `trusted` is missing, not needed, or cannot be read; or trainer.max_epochs is not set.
        ValueError: A value is out of range.
    """

    weighs_classes: ClassVar[bool] = True

    average: Tensor
    """(), a."""
    seed: Tensor
    """(), int64: seeds dropout and the mentor's lessons, together with the epoch."""
    seen: Tensor
    """(), int64: samples seen so far."""
    to_see: Tensor
    """(), int64: samples to see in all epochs."""
    drawn: Tensor
    """(N,) int64: random order of all samples in this epoch; the first ones of a batch are not dropped."""
    dropout_rates: Tensor
    """(100,), by percentage of training."""

    def __init__(
        self,
        problem: Problem,
        curriculum: Literal["self_paced", "predefined", "learned"] = "predefined",
        percentile: float = 0.75,
        decay: float = 0.5,
        dropout: str = "0.5,17,0.05,83",
        weight_decay: float = 0.0,
        trusted: Path | None = None,
        warm_up: int = 18,
    ) -> None:
        check_range("percentile", percentile, "[0, 1]")
        check_range("decay", decay, "[0, 1)")
        check_range("weight_decay", weight_decay, "[0, inf)")
        check_range("warm_up", warm_up, "[1, 99]")
        if (curriculum == "learned") != (trusted is not None):
            raise InputError(
                f"trusted: curriculum learned needs a file, no other takes one; got {curriculum}, {trusted}"
            )
        super().__init__(problem)
        self.curriculum, self.percentile, self.decay = curriculum, percentile, decay
        self.weight_decay = weight_decay
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.register_buffer("to_see", torch.ones((), dtype=torch.long))
        self.register_buffer("drawn", torch.arange(problem.num_samples))
        self.register_buffer("dropout_rates", parse_dropout(dropout), persistent=False)
        self.mentor: Mentor | None = None
        if trusted is not None:
            labels = read_trusted_labels(Path(trusted), problem.num_samples, problem.num_classes)
            self.mentor = Mentor(labels, problem.num_samples, warm_up)

    @property
    def depends_on_length(self) -> bool:
        """Its curriculum is by percentage of the run."""
        return True

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when each percentage of the dropout's schedule is an epoch, if the schedule is not constant."""
        return {"dropout": 100} if (self.dropout_rates != self.dropout_rates[0]).any() else {}

    def scalars(self) -> dict[str, Tensor]:
        """Return a, and how well the mentor classifies what it was taught."""
        return {"loss_average": self.average} | (
            {} if self.mentor is None else {"mentor_accuracy": self.mentor.accuracy}
        )

    def on_epoch_start(self, context: EpochContext) -> None:
        """Find the place in the curriculum, draw the order for dropout, and teach the mentor."""
        if context.max_epochs < 1:
            raise InputError("trainer.max_epochs must be at least 1: MentorNet depends on the percentage of training")
        size = int((context.labels >= 0).sum())
        self.seen.fill_(context.epoch * size)
        self.to_see.fill_(context.max_epochs * size)
        random = torch.Generator().manual_seed(int(self.seed) + context.epoch)
        self.drawn.copy_(torch.randperm(len(self.drawn), generator=random))
        if self.mentor is not None:
            self.mentor.start_epoch(context, int(self.seed))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Weight the losses, after they have moved the average."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        all_losses, all_index = gather(losses), gather(index)
        percentage = (100 * self.seen // self.to_see).clamp(max=99)
        self._follow(all_losses)
        if self.mentor is not None:
            self.mentor.write_down(all_index, gather(label), all_losses, self.average)
        remaining = not_dropped(self.drawn[index], self.drawn[all_index], 1 - self.dropout_rates[percentage])
        v = self._weights(losses.detach(), percentage) * remaining
        broken = ~all_losses.isfinite().any()
        v = torch.where(broken, 1, v.where(losses.isfinite(), 0))
        self.seen.add_(len(all_losses))
        learned = self.weighted(losses.where(v > 0, 0), label)
        loss = (learned * v).sum() * world_size() / len(all_losses)
        if self.weight_decay:
            squares = sum(weight.square().sum() for weight in self.backbone.parameters() if weight.dim() > 1)
            loss = loss + self.weight_decay / 2 * total(v.sum()) / len(all_losses) * squares
        return Step(loss, losses, logits, v)

    def _follow(self, losses: Tensor) -> None:
        """Move a toward the percentile of a batch's losses."""
        value = losses.where(losses.isfinite(), torch.nan).nanquantile(self.percentile, interpolation="nearest")
        average = self.decay * self.average + (1 - self.decay) * value
        self.average.copy_(torch.where(value.isnan(), self.average, average))

    def _weights(self, losses: Tensor, percentage: Tensor) -> Tensor:
        """Return v (B,) of samples with these losses (B,), before dropout."""
        self_paced = (losses <= self.average).to(losses.dtype)
        if self.curriculum == "self_paced":
            return self_paced
        gradual = (1 - (losses - self.average)).clamp(0, 1)
        predefined = torch.where(percentage < _GRADUAL_FROM, self_paced, gradual)
        predefined = torch.where(percentage <= _ALL_UNTIL, 1, predefined)
        if self.mentor is None:
            return predefined
        return torch.where(self.mentor.taught, self.mentor.weights(losses, self.average), predefined)


def not_dropped(drawn: Tensor, all_drawn: Tensor, share: Tensor) -> Tensor:
    """Return which samples (B,) of this rank remain: the ⌊share · n⌋ of the whole batch that were drawn first.

    Args:
        drawn: (B,) their places in the random order.
        all_drawn: (n,) those of all ranks' samples.
        share: () in [0, 1].
    """
    ahead = (all_drawn < drawn[:, None]).sum(1)
    # A thousandth of a sample more: rounding can leave a share of a batch just below a whole number.
    return ahead < (share * len(all_drawn) + 1e-3).floor()


def parse_dropout(schedule: str) -> Tensor:
    """Return the rates (100,) of a schedule "rate,percent,rate,percent,…".

    Raises:
        ValueError: A rate is outside [0, 1], or the percentages do not add up to 100.
    """
    try:
        numbers = [float(cell) for cell in schedule.split(",")]
        spans = [(rate, int(length)) for rate, length in zip(numbers[::2], numbers[1::2], strict=True)]
        rates = [rate for rate, length in spans for _ in range(length)]
    except ValueError:
        rates = []
    if len(rates) != 100 or not all(0 <= rate <= 1 for rate in rates):
        raise ValueError(
            f"dropout must be pairs of a rate in [0, 1] and a percentage, these 100 in total, got {schedule!r}"
        )
    return torch.tensor(rates)
