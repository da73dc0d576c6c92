"""Features of images as detectors compare them: mean over views, centered, of length one."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.data.audit.approximate import MANY, approximate_neighbors, is_installed
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import Bools, Floats, Ints

Features = NDArray[Any]
"""(N, V, D) numbers that describe N images in V views: those of a frozen network, float16 or float32, or pixels, uint8;
they may lie in a file that is read when they are asked for."""
_ROWS = 1000  # samples that are read, or compared to all others, at once
_COSINES = 2**27  # of one comparison at most: half a gigabyte


def unit_features(features: Features, usable: Bools) -> Floats:
    """Return features (N, D) whose cosine says how alike two images are: views averaged, centered, of length one.

    Without centering, the features of a network with ReLU all point one way, and cosines differ little.

    Args:
        features: (N, V, D).
        usable: (N,) the samples that the center is taken from; the others get zeros.

    Raises:
        InputError: Features of a usable sample are not finite.
    """
    rows = np.flatnonzero(usable)
    parts = np.array_split(rows, max(1, len(rows) // _ROWS))  # features may fill the memory: no second copy
    unit = np.zeros((len(features), features.shape[2]), np.float32)
    for part in parts:
        unit[part] = features[part].mean(1, dtype=np.float32)
        if len(wrong := part[~np.isfinite(unit[part]).all(1)]):
            raise InputError(f"the features of image {wrong[0]} are not finite: compute them anew, in float32")
    center = (unit.sum(0, dtype=np.float64) / max(1, len(rows))).astype(np.float32)
    for part in parts:
        centered = unit[part] - center
        length = np.linalg.norm(centered, axis=1, keepdims=True)
        unit[part] = np.divide(centered, length, out=centered, where=length > 0)
    return unit


class Neighbors(NamedTuple):
    """The nearest others of each of n samples, the nearest first."""

    positions: Ints
    """(n, k) places among the samples, -1 where there are fewer than k."""
    similarity: Floats
    """(n, k) cosines in [-1, 1], -inf where there are fewer than k."""

    exact: bool = True
    """Whether none is missed: faiss misses some."""

    def of(self, rows: Ints) -> "Neighbors":
        """Return those of some of the n samples (m,)."""
        return Neighbors(self.positions[rows], self.similarity[rows], self.exact)


def nearest_neighbors(
    unit: Floats, usable: Bools, k: int, groups: Ints | None = None, queries: Ints | None = None
) -> Neighbors:
    """Return the k nearest neighbors of samples by cosine, exactly, without the samples themselves.

    More than 200,000 samples are looked up by faiss where it is installed, several times as fast, and it misses some
    neighbors: see `approximate_neighbors`.

    Args:
        unit: (N, D) features of length one.
        usable: (N,) those that may be neighbors.
        k: How many, >= 1.
        groups: (N,) a number for each group of samples that belong together, such as a burst of photographs: samples
            of one group are no neighbors of each other. -1: the sample is in no group. None: there are no groups.
        queries: (n,) whose neighbors are wanted; None: those of all N samples.
    """
    asked = np.arange(len(unit)) if queries is None else np.asarray(queries)
    others = np.flatnonzero(usable)
    if len(asked) * len(others) > MANY**2 and is_installed():
        return Neighbors(*approximate_neighbors(unit, others, k, groups, asked), exact=False)
    points = torch.from_numpy(unit if usable.all() else unit[others])
    members = None if groups is None else torch.from_numpy(groups[others].astype(np.int64))
    places = torch.full((len(unit),), -1)
    places[torch.from_numpy(others)] = torch.arange(len(others))
    index = np.full((len(asked), k), -1, np.int64)
    similarity = np.full((len(asked), k), -np.inf, np.float32)
    count = min(k, len(others))
    rows = min(_ROWS, max(1, _COSINES // max(1, len(others))))
    memory = torch.empty(rows, len(others))  # allocated once: new pages for each block cost half as much as the product
    for start in range(0, len(asked), rows):
        block = asked[start : start + rows]
        cosines = torch.mm(torch.from_numpy(unit[block]), points.T, out=memory[: len(block)])
        _leave_out(cosines, places[torch.from_numpy(block)])
        if groups is not None and members is not None:
            own = torch.from_numpy(groups[block].astype(np.int64))
            cosines.masked_fill_((own[:, None] == members) & (own >= 0)[:, None], -torch.inf)
        values, found = cosines.topk(count)
        there = torch.isfinite(values).numpy()
        index[start : start + rows, :count] = np.where(there, others[found.numpy()], -1)
        similarity[start : start + rows, :count] = values.numpy()
    return Neighbors(index, similarity)


def _leave_out(cosines: Tensor, place: Tensor) -> None:
    """Take each sample (n,) out of its own row of cosines (n, N); -1: it is not among them."""
    rows = (place >= 0).nonzero().squeeze(1)
    cosines[rows, place[rows]] = -torch.inf
