"""The nearest of all samples by the cosine of their features."""

from typing import NamedTuple

import torch
from torch import Tensor

_COSINES = 2**26  # at once: a quarter of a gigabyte


class CosineNeighbors(NamedTuple):
    """The nearest others of n samples, the nearest first; k is smaller where there are fewer others."""

    positions: Tensor
    """(n, k) rows of the samples' features."""
    similarity: Tensor
    """(n, k) cosines in [-1, 1]."""


def cosine_neighbors(unit: Tensor, k: int, queries: Tensor | None = None) -> CosineNeighbors:
    """Return the k nearest neighbors of samples, exactly, each without itself.

    Args:
        unit: (N, D) features of length one, N >= 2.
        k: >= 1.
        queries: (n,) rows whose neighbors are wanted; None: all.
    """
    asked = torch.arange(len(unit), device=unit.device) if queries is None else queries
    parts = []
    for block in torch.split(asked, max(1, _COSINES // len(unit))):
        cosines = unit[block] @ unit.T
        cosines[torch.arange(len(block), device=unit.device), block] = -torch.inf
        parts.append(cosines.topk(min(k, len(unit) - 1), 1))
    empty = unit.new_zeros(0, min(k, len(unit) - 1))
    return CosineNeighbors(
        torch.cat([empty.long(), *(part.indices for part in parts)]),
        torch.cat([empty, *(part.values for part in parts)]),
    )
