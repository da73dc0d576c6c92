"""The training of INCV, a Co-teaching of selected samples: Chen, Liao, Chen and Zhang, ICML 2019."""

from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.inference import inferred
from noisy_lightning.methods.parts.noise_rate import rate_of_agreeing
from noisy_lightning.methods.parts.ranks import total
from noisy_lightning.methods.parts.small_loss import mean_of_kept, smallest
from noisy_lightning.types import Step


@final
class INCVCoTeaching(Method):
    """Two networks that teach each other from selected samples; later, candidates may take the place of some.

    A selection file (`data.selection`) says which samples are selected, as INCV does by cross-validation, and which are
    candidates, whose labels may be right; all others take no part. Of a batch, all ranks together, in which s samples
    are selected, each network keeps the round((1 − R)·s) with its smallest losses, at least one, and the other network
    trains on these. It ranks the selected, and from epoch `candidates_from` on the candidates with them; their number
    does not raise what is kept, so that candidates displace selected samples of higher loss. R grows linearly from 0 in
    epoch 0 to ε_S, the share of wrong labels among the selected, in epoch `warm_up`.

    Losses are ranked in inference mode, before the step: with the running statistics of batch normalisation, which
    that does not change, and without dropout. A batch with no selected sample teaches nothing: its loss is 0. A sample
    whose loss is NaN is not kept.

    The first network gives the logits; the authors report both, and so do the metrics. Recorded are the mean of both
    networks' losses in training mode, of all samples, and as kept the mean of both choices: 0, 0.5 or 1.

    Deviations: the authors draw batches of 128 selected samples, and beside each min(⌊128·|C| / |S|⌋, 64) of the |C|
    candidates; here a batch is one of selected samples and candidates together, so that the parts in it vary around
    those of the whole, candidates are not capped at 64, and a batch size of 128·(|S| + |C|) / |S| is theirs. Candidates
    are served, and not learned from, before they join, too. Batch statistics in training are of the whole batch, theirs
    of what was kept. One optimizer minimises the sum of both losses, which comes to the same as two, but for gradient
    clipping by norm, which sees both as one; theirs loses its moments at each change of the learning rate.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        noise_rate: `selection`: ε, the share of wrong labels among all, is what the selection file estimates
            (`eval_ratio`), and ε_S follows from it as in the paper; `estimate`: ε_S is what two Gaussians fitted to the
            losses of selected samples say in the first half of `warm_up`, see `CoTeaching`; or ε itself, in [0, 1).
        pattern: Of the noise, for ε_S = ε² / (ε² + κ·(1 − ε)²): `symmetric`, κ = K − 1, or `pair`, κ = 1. For nothing
            else, and for nothing if ε_S is estimated.
        warm_up: T_k >= 0, the epoch in which R reaches ε_S; 10 in the paper.
        candidates_from: First epoch >= 0, counted from 0, with candidates: 41 of 200 in the authors' code, 81 for pair
            noise or a noise rate above 0.6.

    Raises:
        InputError: There is no selection, or it says nothing of the noise rate although it shall.
        ValueError: A value is out of range.
    """

    uses_candidates: ClassVar[bool] = True

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
        super().__init__()
        check_range("warm_up", warm_up, "[0, inf)")
        check_range("candidates_from", candidates_from, "[0, inf)")
        if not isinstance(noise_rate, str):
            check_range("noise_rate", noise_rate, "[0, 1)")
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.loss = problem.loss
        self.noise_rate, self.pattern, self.num_classes = noise_rate, pattern, problem.num_classes
        # The ramp of `forget_rate_at` ends in the epoch before the one that it is told. The rate follows in each epoch.
        rate: float | Literal["estimate"] = "estimate" if noise_rate == "estimate" else 0.0
        self.forgetting = ForgetRate(rate, warm_up + 1 if warm_up else 0, 1.0, problem.num_samples)
        self.candidates_from = candidates_from
        self.register_buffer("selected", torch.zeros(problem.num_samples, dtype=torch.bool))
        self.register_buffer("candidates", torch.zeros(problem.num_samples, dtype=torch.bool))
        self.register_buffer("joined", torch.tensor(False))

    @property
    def oracle(self) -> bool:
        """Whether the noise rate was told, or another pattern than that which is assumed of all noise."""
        return not isinstance(self.noise_rate, str) or (self.noise_rate == "selection" and self.pattern != "symmetric")

    def forward(self, image: Tensor) -> Tensor:
        """Return the first network's logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.first(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return the second network."""
        return {"second": self.second}

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
        self.forgetting.update(context.epoch, self.selected)
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

        logits = self.first(image)
        losses_first, losses_second = self.loss(logits, label), self.loss(self.second(image), label)
        losses = (losses_first + losses_second) / 2
        self.forgetting.note(index, losses)
        least = (size == 0).float()  # 0 and not NaN where there was nothing to keep
        loss = mean_of_kept(losses_first, by_second, least) + mean_of_kept(losses_second, by_first, least)
        return Step(loss, losses, logits, (by_first.float() + by_second.float()) / 2)
