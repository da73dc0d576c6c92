"""Nearest neighbors among very many samples, nearly all of them: an inverted file of faiss (Johnson et al., 2019)."""

from importlib.util import find_spec

import numpy as np

from noisy_lightning.runs.measures import Bools, Floats, Ints

MANY = 200_000
"""Samples above which comparing all to all takes more than some minutes: of 1,000,000 it takes hours."""
_PROBED = 64  # lists that are searched for a sample
_ITERATIONS = 10  # of finding the centers
_TRAINED_ON = 40  # samples for each list, to find the lists
_LONGEST_GROUP = 1000  # members of a group that are passed over
_ROWS = 10_000  # samples that are added or looked up at once


def is_installed() -> bool:
    """Return whether there is faiss, the extra `faiss`."""
    return find_spec("faiss") is not None


def approximate_neighbors(unit: Floats, others: Ints, k: int, groups: Ints | None, asked: Ints) -> tuple[Ints, Floats]:
    """Return places (n, k) and cosines (n, k) of nearest neighbors, of which a few percent are missed.

    The samples are sorted into 4·√N lists by the nearest of as many centers, held as float16, and a neighbor is sought
    in the 64 lists whose centers are nearest. The centers are found in 40 samples for each, evenly spaced, so that the
    same features have the same neighbors.

    Args:
        unit: (N, D) features of length one.
        others: Those that may be neighbors.
        k: How many, >= 1.
        groups: (N,) as in `nearest_neighbors`; of a group with more than 1,000 members fewer than k may be found.
        asked: (n,) whose neighbors are wanted.
    """
    import faiss  # noqa: PLC0415  # an extra

    size, lists = unit.shape[1], max(1, min(int(4 * len(others) ** 0.5), len(others) // _TRAINED_ON))
    centers = faiss.IndexFlatIP(size)
    index = faiss.IndexIVFScalarQuantizer(
        centers, size, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = _ITERATIONS
    index.train(unit[others[:: max(1, len(others) // (_TRAINED_ON * lists))]])
    for start in range(0, len(others), _ROWS):
        index.add(unit[others[start : start + _ROWS]])
    index.nprobe = min(_PROBED, lists)
    wanted = min(len(others), k + 1 + _longest(groups))
    positions, similarity = np.full((len(asked), k), -1, np.int64), np.full((len(asked), k), -np.inf, np.float32)
    for start in range(0, len(asked), _ROWS):
        block = asked[start : start + _ROWS]
        cosines, found = index.search(unit[block], wanted)
        places = np.where(found >= 0, others[found], -1)
        left_out = (places < 0) | (places == block[:, None]) | _together(groups, block, places)
        nearest = np.argsort(left_out, axis=1, kind="stable")[:, :k]  # they come sorted
        there = ~np.take_along_axis(left_out, nearest, 1)
        rows, columns = slice(start, start + _ROWS), slice(0, nearest.shape[1])
        positions[rows, columns] = np.where(there, np.take_along_axis(places, nearest, 1), -1)
        similarity[rows, columns] = np.where(there, np.take_along_axis(cosines, nearest, 1), -np.inf)
    return positions, similarity


def _longest(groups: Ints | None) -> int:
    """Return how many members the largest group has, 1,000 at most."""
    if groups is None or not (groups >= 0).any():
        return 0
    return int(min(np.unique(groups[groups >= 0], return_counts=True)[1].max(), _LONGEST_GROUP))


def _together(groups: Ints | None, block: Ints, places: Ints) -> Bools:
    """Return whether samples (n,) and others (n, m) are of one group."""
    if groups is None:
        return np.zeros(places.shape, bool)
    own = groups[block][:, None]
    together: Bools = (own >= 0) & (groups[places] == own)
    return together
