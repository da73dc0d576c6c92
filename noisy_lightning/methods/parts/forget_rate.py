"""How much of a batch Co-teaching and its relatives leave out: given, or estimated during training."""

import logging
from typing import Literal, final

import torch
from torch import Tensor, nn

from noisy_lightning.methods.parts.noise_rate import high_loss_share
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.small_loss import check_schedule, forget_rate_at

_log = logging.getLogger(__name__)

# Stands for the loss of a sample not seen yet; finite, so that no checkpoint holds a NaN.
_UNSEEN = torch.finfo(torch.float32).min


@final
class ForgetRate(nn.Module):
    """The schedule of `forget_rate_at`, whose end is given, or estimated from the losses of the previous epoch.

    The estimate is taken while training is plain: in the first m = max(1, ⌊warm_up / 2⌋) epochs, half of the warm-up,
    nothing is left out. At the start of each epoch from 1 to m the estimate becomes the `high_loss_share` of the last
    losses of all training samples. From epoch m on it stays, and the rate grows from 0 in that epoch until it reaches
    the estimate in epoch `warm_up` − 1. Later estimates would be too low: once samples are left out, their losses drift
    away from those of wrong labels that are still used. On MNIST with 50 % wrong labels, estimates up to the end of the
    warm-up fell from 54 to 19 %. Where the losses do not fall into two groups the estimate is 0. It is the same on all
    ranks.

    Args:
        forget_rate: τ in [0, 1), or `estimate`.
        warm_up: T_k >= 0, see `forget_rate_at`.
        exponent: c > 0, see there.
        num_samples: N.

    Raises:
        ValueError: A value is out of range.
    """

    remember_rate: Tensor
    """1 − R of the current epoch, ()."""
    estimate: Tensor
    """The last estimate, ()."""

    def __init__(
        self, forget_rate: float | Literal["estimate"], warm_up: int, exponent: float, num_samples: int
    ) -> None:
        super().__init__()
        self.given = None if forget_rate == "estimate" else forget_rate
        check_schedule(self.given or 0.0, warm_up, exponent)
        self.warm_up, self.exponent = warm_up, exponent
        self.register_buffer("remember_rate", torch.ones(()))
        self.register_buffer("estimate", torch.zeros(()))
        self.losses = SampleMemory(num_samples, fill=_UNSEEN) if self.given is None else None

    def update(self, epoch: int, among: Tensor | None = None) -> None:
        """Prepare for an epoch.

        Args:
            epoch: Counted from 0.
            among: (N,) bool, the samples that an estimate takes into account; None: all.
        """
        self.remember_rate.fill_(1 - self._rate(epoch, among))

    def _rate(self, epoch: int, among: Tensor | None) -> float:
        if self.given is not None:
            return forget_rate_at(epoch, self.given, self.warm_up, self.exponent)
        measured = max(1, self.warm_up // 2)
        if 1 <= epoch <= measured:
            self._estimate(among, is_last=epoch == measured)
        if epoch < measured:
            return 0.0
        rest = max(0, self.warm_up - measured)
        return forget_rate_at(epoch - measured, self.estimate.item(), rest, self.exponent)

    def _estimate(self, among: Tensor | None, is_last: bool) -> None:
        assert self.losses is not None
        values = self.losses.values if among is None else self.losses.values[among]
        share = high_loss_share(values[values != _UNSEEN].cpu())
        if share is None and is_last:
            _log.warning(
                "the losses do not fall into two groups: no label counts as wrong and no sample is left out; "
                "set forget_rate if you know how many labels are wrong"
            )
        self.estimate.fill_(share or 0.0)

    def note(self, index: Tensor, losses: Tensor) -> None:
        """Remember the losses (B,) of samples (B,) if the rate is estimated."""
        if self.losses is not None:
            self.losses.write(index, losses)

    def scalars(self) -> dict[str, Tensor]:
        """Return `forget_rate`, R of the current epoch, and `noise_rate`, the estimate, if there is one."""
        forget = {"forget_rate": 1 - self.remember_rate}
        return forget if self.given is not None else {**forget, "noise_rate": self.estimate}
