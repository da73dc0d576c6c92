"""Which labels two networks may guess, since they are sure of the same class."""

import torch
from torch import Tensor

from noisy_lightning.methods.parts.ranks import gather


def joining(first: Tensor, second: Tensor, selected: Tensor, threshold: float, index: Tensor) -> Tensor:
    """Return which of a rank's samples (B,) join those selected (B,) of the whole batch; see `agreed`.

    Args:
        first: (B, K) probabilities by one network.
        second: (B, K) by the other one.
        selected: (B,) bool.
        threshold: What both confidences must exceed.
        index: (B,) positions in the original training set, of which the first goes first where two are equally sure.
    """
    everyone = gather(index)
    order = everyone.argsort()
    one, other, chosen = (gather(value)[order] for value in (first, second, selected.byte()))
    return torch.isin(index, everyone[order][agreed(one, other, chosen.bool(), threshold)])


def agreed(first: Tensor, second: Tensor, selected: Tensor, threshold: float) -> Tensor:
    """Return which samples (B,) of a whole batch join those selected (B,), since both networks are sure of one class.

    The surest by mean confidence come first, until int(0.9·B) samples are selected.

    Args:
        first: (B, K) probabilities by one network.
        second: (B, K) by the other one.
        selected: (B,) bool.
        threshold: What both confidences must exceed.
    """
    (sure, one), (other_sure, other) = first.max(1), second.max(1)
    joins = (one == other) & (sure > threshold) & (other_sure > threshold) & ~selected
    room = max(0, int(0.9 * len(selected)) - int(selected.sum()))
    surest = (sure + other_sure).where(joins, -1.0).argsort(descending=True, stable=True)
    joins[surest[room:]] = False
    return joins
