"""Which samples of a batch two networks train on, by small loss or by disagreement, over the parts of all ranks."""

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.parts.ranks import gather, total, world_size


def check_schedule(forget_rate: float, warm_up: int, exponent: float) -> None:
    """Check the hyper-parameters of `forget_rate_at`.

    Raises:
        ValueError: One is out of range.
    """
    check_range("forget_rate", forget_rate, "[0, 1)")
    check_range("warm_up", warm_up, "[0, inf)")
    check_range("exponent", exponent, "(0, inf)")


def forget_rate_at(epoch: int, forget_rate: float, warm_up: int, exponent: float) -> float:
    """Return the share of a batch that is left out: from 0 in epoch 0 linearly up, then constant.

    As in the code of Co-teaching (Han et al., NeurIPS 2018), which JoCoR also uses: the ramp ends at
    `forget_rate ** exponent` in epoch `warm_up` − 1, and the next epoch has `forget_rate`. With an exponent other than
    1 the rate jumps there. The paper has the exponent on the epoch instead. The published runs begin with epoch 1.

    Args:
        epoch: Counted from 0.
        forget_rate: τ in [0, 1), at the end.
        warm_up: T_k >= 0, epochs of the ramp; 0: no ramp.
        exponent: c > 0.
    """
    if epoch < warm_up:
        return float(forget_rate**exponent) * epoch / max(warm_up - 1, 1)
    return forget_rate


def small_loss(losses: Tensor, index: Tensor, share: Tensor, among: Tensor | None = None) -> Tensor:
    """Return which samples (B,) of this rank have the smallest losses of the whole batch.

    Of n samples on all ranks, max(1, ⌊share · n⌋) are kept, as in Co-teaching; see `smallest`.

    Args:
        losses: (B,) of this rank's samples.
        index: (B,) positions in the original training set; no sample is in a batch twice.
        share: () in (0, 1].
        among: (B,) bool, the n samples to choose from; None: all. Where there are none, none is kept.
    """
    among = torch.ones_like(index, dtype=torch.bool) if among is None else among
    # A thousandth of a sample more: 0.1 · 10 can be rounded to 0.99999999, and the authors' code then keeps none.
    count = (share * total(among.sum()) + 1e-3).floor().clamp(min=1)
    return smallest(losses, index, count, among)


def smallest(losses: Tensor, index: Tensor, count: Tensor, among: Tensor) -> Tensor:
    """Return which samples (B,) of this rank are among those with the smallest losses of the whole batch.

    Of equal losses the one with the smaller index goes first, on any number of ranks. A sample whose loss is NaN is
    never kept, even if that leaves none.

    Args:
        losses: (B,) of this rank's samples.
        index: (B,) positions in the original training set; no sample is in a batch twice.
        count: () how many to keep on all ranks together.
        among: (B,) bool, the samples to choose from.
    """
    losses = losses.detach().where(among, torch.nan)  # NaN is smaller than nothing
    all_losses, all_index = gather(losses), gather(index)
    own, own_index = losses[:, None], index[:, None]
    ahead = ((all_losses < own) | ((all_losses == own) & (all_index < own_index))).sum(1)
    return (ahead < count) & ~losses.isnan()


def mean_of_kept(losses: Tensor, kept: Tensor, least: float | Tensor = 0.0) -> Tensor:
    """Return this rank's part of the mean loss of the samples kept on all ranks; see `batch_mean`.

    The losses of the others do not count, even if they are NaN. Where none is kept, the mean is NaN, so that it shows
    when training has broken down.

    Args:
        losses: (B,) of this rank's samples.
        kept: (B,) bool.
        least: The sum is divided by at least this share of the whole batch, in [0, 1], even where fewer samples are
            kept. Above 0, the result is 0 where none is kept.
    """
    number, size = total(torch.stack([kept, torch.ones_like(kept)]).sum(1))
    return losses.where(kept, 0).sum() * world_size() / torch.maximum(number, least * size)
