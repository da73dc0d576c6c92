"""Mixup over the batch of all ranks: Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018."""

from typing import final

import numpy as np
import torch
from torch import Tensor


@final
class Mixup:
    """Mixes each of a rank's samples with another one of the whole batch, in the same way on any number of ranks.

    Args:
        index: (B,) positions of this rank's samples in the original training set.
        everyone: (ΣB,) those of all ranks, one rank after another.
        alpha: α >= 0 of the Beta distribution; 0: samples are not mixed.
        random: Draws first s, then a permutation of the batch, sorted by position.
    """

    def __init__(self, index: Tensor, everyone: Tensor, alpha: float, random: np.random.Generator) -> None:
        draw = random.beta(alpha, alpha) if alpha > 0 else 1.0
        self.share = max(draw, 1 - draw)
        order = everyone.argsort()
        place = torch.searchsorted(everyone[order], index)
        permutation = torch.from_numpy(random.permutation(len(everyone))).to(index.device)
        self.own, self.partner = order[place], order[permutation[place]]

    def of(self, values: Tensor) -> Tensor:
        """Return s·v_i + (1 − s)·v_j (B, ...) of the values (ΣB, ...) of all ranks' samples."""
        return self.share * values[self.own] + (1 - self.share) * values[self.partner]
