"""Co-teaching on the samples that INCV selected: Chen, Liao, Chen and Zhang, ICML 2019."""

from collections.abc import Collection
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.inference import inferred
from noisy_lightning.methods.parts.networks import TwoNetworks
from noisy_lightning.methods.parts.noise_rate import rate_of_agreeing
from noisy_lightning.methods.parts.ranks import total
from noisy_lightning.methods.parts.small_loss import mean_of_kept, smallest
from noisy_lightning.types import Step


@final
class INCVCoTeaching(TwoNetworks):
    """Two networks that teach each other from selected samples; later, candidates can take the place of some.

    A selection file (`data.selection`) says which samples are selected, as INCV does by cross-validation, and which are
    candidates, whose labels may be right; all other samples take no part. Of a batch in which s samples are selected,
    on all ranks together, each network keeps the round((1 − R)·s) samples with its smallest losses, at least one, and
    the other network trains on them. It chooses among the selected samples, and from epoch `candidates_from` on among
    the candidates too. The number that is kept does not grow with them: candidates replace selected samples of higher
    loss. R grows linearly from 0 in epoch 0 to ε_S, the share of wrong labels among the selected, in epoch `warm_up`.

    Losses are ranked in eval mode, before the step: with the running statistics of batch normalization, which stay as
    they are, and without dropout. A batch with no selected sample teaches nothing: its loss is 0. A sample whose loss
    is NaN is not kept.

    The first network gives the logits. The authors report both networks, and so do the metrics. Recorded are the mean
    of both networks' losses in training mode, of all samples, and as `kept` the mean of both choices: 0, 0.5 or 1.

    Deviations: the authors draw batches of 128 selected samples and add to each min(⌊128·|C| / |S|⌋, 64) of the |C|
    candidates. Here a batch is drawn from selected samples and candidates together, so that their parts in it vary
    around those of the whole, and candidates are not capped at 64; a batch size of 128·(|S| + |C|) / |S| matches
    theirs. Before candidates join, they are in the batches too, but nothing is learned from them. Batch statistics in
    training are of the whole batch, the authors' of what was kept. One optimizer minimizes the sum of both losses, as
    in `CoTeaching`; the authors' optimizer loses its moments whenever the learning rate changes.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        noise_rate: ε, the share of wrong labels among all. `selection`: what the selection file estimates
            (`eval_ratio`), and ε_S follows from it as in the paper. `estimate`: ε_S itself is estimated, from
            held-out predictions of selected samples after the warm-up, see `CoTeaching`. Or ε as a
            number in [0, 1).
        pattern: Of the noise, for ε_S = ε² / (ε² + κ·(1 − ε)²): `symmetric`, κ = K − 1, or `pair`, κ = 1. It has no
            other use, and none at all if ε_S is estimated.
        warm_up: T_k >= 0, the epoch in which R reaches ε_S; 10 in the paper.
        candidates_from: First epoch >= 0, counted from 0, with candidates: 41 of 200 in the authors' code, 81 for pair
            noise or a noise rate above 0.6.

    Raises:
        InputError: There is no selection, or it gives no noise rate although it should.
        ValueError: A value is out of range.
    """

    uses_candidates: ClassVar[bool] = True
    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    selected: Tensor
    """(N,) bool, S."""
    candidates: Tensor
    """(N,) bool, C."""
    joined: Tensor
    """(), bool: whether candidates take part in the current epoch."""

    def __init__(
        self,
        problem: Problem,
        noise_rate: float | Literal["selection", "estimate"] = "selection",
        pattern: Literal["symmetric", "pair"] = "symmetric",
        warm_up: int = 10,
        candidates_from: int = 41,
    ) -> None:
        check_range("warm_up", warm_up, "[0, inf)")
        check_range("candidates_from", candidates_from, "[0, inf)")
        if not isinstance(noise_rate, str):
            check_range("noise_rate", noise_rate, "[0, 1)")
        super().__init__(problem)
        self.noise_rate, self.pattern, self.num_classes = noise_rate, pattern, problem.num_classes
        # The ramp of `forget_rate_at` ends one epoch before its warm-up does. A given rate is set anew in each epoch.
        rate: float | Literal["estimate"] = "estimate" if noise_rate == "estimate" else 0.0
        ramp = warm_up + 1 if warm_up else 0
        self.forgetting = ForgetRate(rate, ramp, 1.0, problem.num_samples, problem.num_classes)
        self.warm_up, self.candidates_from = warm_up, candidates_from
        self.register_buffer("selected", torch.zeros(problem.num_samples, dtype=torch.bool))
        self.register_buffer("candidates", torch.zeros(problem.num_samples, dtype=torch.bool))
        self.register_buffer("joined", torch.tensor(False))

    @property
    def oracle(self) -> bool:
        """Whether the noise rate was given, or another pattern than the one that is assumed of all noise."""
        return not isinstance(self.noise_rate, str) or (self.noise_rate == "selection" and self.pattern != "symmetric")

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the forget rate reaches its end and when candidates join."""
        return {"warm_up": self.warm_up + 1, "candidates_from": self.candidates_from + 1}

    @property
    def depends_on_length(self) -> bool:
        """Whether a rate is estimated, after at most half of all epochs."""
        return self.noise_rate == "estimate"

    def scalars(self) -> dict[str, Tensor]:
        """Return the forget rate, and what it ends at if that is estimated."""
        return self.forgetting.scalars()

    def on_epoch_start(self, context: EpochContext) -> None:
        """Take over the selection and follow the schedules."""
        if context.candidates is None:
            raise InputError("data.selection must be the file that says which samples are selected")
        self.candidates.copy_(context.candidates)
        self.selected.copy_((context.labels >= 0) & ~context.candidates)
        if self.noise_rate != "estimate":
            self.forgetting.given = rate_of_agreeing(self._noise_rate(context), self.num_classes, self.pattern)
        self.forgetting.update(context, self.first, self.second, self.selected)
        self.joined.fill_(context.epoch >= self.candidates_from)

    def _noise_rate(self, context: EpochContext) -> float:
        """Return ε."""
        if not isinstance(self.noise_rate, str):
            return self.noise_rate
        if context.noise_rate is None or context.noise_rate >= 1:
            raise InputError(
                "model.method.noise_rate: the file of data.selection has no column eval_ratio with a rate below 1; "
                "choose estimate, or a number"
            )
        return context.noise_rate

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Let each network choose the other's samples."""
        ranked_first, ranked_second = (self.loss(inferred(each, image), label) for each in (self.first, self.second))
        selected = self.selected[index]
        pool = selected | (self.candidates[index] & self.joined)
        size = total(selected.sum())
        count = (self.forgetting.remember_rate * size).round().clamp(min=1) * (size > 0)
        by_first = smallest(ranked_first, index, count, pool)
        by_second = smallest(ranked_second, index, count, pool)
        for_first, for_second = self.forgetting.learned_by(index)
        by_first, by_second = by_first & for_second, by_second & for_first

        logits = self.first(image)
        losses_first, losses_second = self.loss(logits, label), self.loss(self.second(image), label)
        losses = (losses_first + losses_second) / 2
        least = torch.maximum((size == 0).float(), self.forgetting.least)  # 0 and not NaN where nothing is kept
        first_learns, second_learns = self.weighted(losses_first, label), self.weighted(losses_second, label)
        loss = mean_of_kept(first_learns, by_second, least) + mean_of_kept(second_learns, by_first, least)
        return Step(loss, losses, logits, (by_first.float() + by_second.float()) / 2)
