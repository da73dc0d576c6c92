"""How much of a batch Co-teaching and its relatives leave out: given, or estimated during training."""

import logging
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.methods.base import EpochContext
from noisy_lightning.methods.parts.held_out import HeldOutPredictions, SelfCheck, self_check
from noisy_lightning.methods.parts.small_loss import check_schedule, forget_rate_at

_log = logging.getLogger(__name__)

# Stands for an estimate that is not there yet; finite, so that no checkpoint holds a NaN.
_UNKNOWN = -1.0
# At least a tenth of a batch is kept, whatever is estimated.
_HIGHEST = 0.9


@final
class ForgetRate(nn.Module):
    """The schedule of `forget_rate_at`, whose end is given, or estimated from held-out predictions of two networks.

    The estimate is taken while training is plain: in the warm-up nothing is left out by its loss, but each network does
    not learn from a quarter of the samples of its own, drawn at random. After each of the last three epochs of it, they
    predict labels that they have not seen, and the noise rate is that among their surest mean predictions
    (`surest_transition`). From then on both learn from all samples, and the rate is the estimate, or 0.9 if that is
    less: there is no ramp. A warm-up of more than half of the run ends there. The estimate is the same on all ranks.

    Of SmallCNN on CIFAR-10, after five of ten epochs (12,500 held-out predictions of each network, n = 3), the estimate
    is 0.05 for clean labels, 0.25 for 0.20 wrong ones (symmetric), 0.18 for 0.20 (asymmetric), 0.54 for 0.50
    (symmetric) and 0.35 for people's 0.40, whose mistakes are rarer where an image is easy. Fewer images make a weaker
    network, and the estimate too high. For clean labels the agreement with the given ones, as INCV estimates, gives
    0.17, HOC on the network's own features 0.23, and a mixture of two Gaussians of the losses 0.48.

    Args:
        forget_rate: τ in [0, 1), or `estimate`.
        warm_up: T_k >= 0, see `forget_rate_at`.
        exponent: c > 0 of the ramp to a given rate, see there.
        num_samples: N.
        num_classes: K.

    Raises:
        ValueError: A value is out of range.
    """

    remember_rate: Tensor
    """1 − R of the current epoch, ()."""
    estimate: Tensor
    """The estimate, (); negative: it is not there yet."""

    def __init__(
        self,
        forget_rate: float | Literal["estimate"],
        warm_up: int,
        exponent: float,
        num_samples: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.given = None if forget_rate == "estimate" else forget_rate
        check_schedule(self.given or 0.0, warm_up, exponent)
        self.warm_up, self.exponent = warm_up, exponent
        self.register_buffer("remember_rate", torch.ones(()))
        self.register_buffer("estimate", torch.tensor(_UNKNOWN if self.given is None else 0.0))
        order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(0))
        quarters = order < num_samples / 4, order >= 3 * num_samples / 4  # of the first and of the second network
        self.of_first, self.of_second = (
            HeldOutPredictions(quarter & (self.given is None), num_classes) for quarter in quarters
        )
        self.register_load_state_dict_pre_hook(_forget_losses)  # type: ignore[no-untyped-call]

    @property
    def measuring(self) -> Tensor:
        """Whether each network leaves its quarter out, (), bool."""
        return self.estimate < 0

    def update(self, context: EpochContext, first: nn.Module, second: nn.Module, among: Tensor | None = None) -> None:
        """Prepare for an epoch.

        Args:
            context: Of its start.
            first: Network from images (B, C, H, W) to logits (B, K).
            second: The other one.
            among: (N,) bool, the samples that an estimate takes into account; None: all.

        Raises:
            InputError: What the networks predict is not finite, so that nothing can be estimated.
        """
        if self.given is not None:
            rate = forget_rate_at(context.epoch, self.given, self.warm_up, self.exponent)
        else:
            rate = self._estimated_rate(context, first, second, among)
        self.remember_rate.fill_(1 - rate)

    def _estimated_rate(
        self, context: EpochContext, first: nn.Module, second: nn.Module, among: Tensor | None
    ) -> float:
        """Return R of the epoch, after the estimate if it is due."""
        measured = self.warm_up if context.max_epochs < 1 else min(self.warm_up, context.max_epochs // 2)
        due = max(1, measured)
        if self.measuring:
            self.of_first.ask(context, first, due)
            self.of_second.ask(context, second, due)
        if context.epoch < due:
            return 0.0
        if self.measuring:
            check = self._check(context, among)
            self.estimate.fill_(min(check.noise_rate, _HIGHEST))
            if check.too_weak:
                _log.warning(
                    "do not rely on the estimated noise rate, %.3f: after %d epochs the networks are right on about "
                    "%.0f %% of the images only; give the rate if you know it, or a longer warm_up",
                    check.noise_rate,
                    context.epoch,
                    100 * check.accuracy_true,
                )
        return self.estimate.item()

    def _check(self, context: EpochContext, among: Tensor | None) -> SelfCheck:
        """Return what each network's predictions of its quarter say."""
        parts = [part.average(context, among) for part in (self.of_first, self.of_second)]
        probability, labels = (torch.cat(both) for both in zip(*parts, strict=True))
        if not len(labels) or not probability.isfinite().all():
            raise InputError(
                "model.method: the noise rate cannot be estimated, what the networks predict is not finite: lower the "
                "learning rate, or give the rate (forget_rate; noise_rate of INCVCoTeaching)"
            )
        return self_check(probability, labels)

    def learned_by(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return which samples (B,) the first and the second network learn from: in the end, all."""
        held_out = (part.held_out[index] for part in (self.of_first, self.of_second))
        first, second = (~(unseen & self.measuring) for unseen in held_out)
        return first, second

    @property
    def least(self) -> Tensor:
        """The share of a batch, (), by which a mean is divided at least: more than 0 where all may be held out."""
        return self.measuring * 1e-6

    def scalars(self) -> dict[str, Tensor]:
        """Return `forget_rate`, R of the current epoch, and `noise_rate`, the estimate, once there is one."""
        forget = {"forget_rate": 1 - self.remember_rate}
        return forget if self.given is not None or self.measuring else {**forget, "noise_rate": self.estimate}


def _forget_losses(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Load older checkpoints, which also hold the losses that their estimate came from."""
    state.pop(f"{prefix}losses.values", None)
