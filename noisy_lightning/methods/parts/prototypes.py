"""How near the features of samples are to the mean of each class, and what neighbors say where that is doubtful."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.methods.parts.two_gaussians import upper_group

Floats = NDArray[np.float32]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]
_FEWEST = 50  # doubtful samples that two groups are sought among


def prototype_cosines(
    unit: Floats, labels: Ints, judged: Bools, num_classes: int, groups: Ints | None = None
) -> Floats:
    """Return the cosines (N, K) of samples to the mean of each class, taken without themselves and their groups.

    Args:
        unit: (N, D) features of length one.
        labels: (N,) in [0, K), of those that are judged.
        judged: (N,) the samples that means are taken of.
        num_classes: K.
        groups: (N,) a number for each group of samples that belong together; -1: the sample is in no group. None: there
            are no groups.

    Returns:
        -inf for a class that has no other sample.
    """
    members = [np.flatnonzero(judged & (labels == label)) for label in range(num_classes)]
    sums = np.stack([unit[rows].sum(0) for rows in members])
    products = unit @ sums.T
    lengths = np.tile(np.einsum("kd,kd->k", sums, sums), (len(unit), 1))  # squared, as long as they are sums
    counts = np.tile([len(rows) for rows in members], (len(unit), 1))
    grouped = np.zeros(len(unit), bool) if groups is None else groups >= 0
    alone = np.flatnonzero(judged & ~grouped)
    own, squares = labels[alone], np.einsum("nd,nd->n", unit[alone], unit[alone])
    lengths[alone, own] += squares - 2 * products[alone, own]
    products[alone, own] -= squares
    counts[alone, own] -= 1
    for group in _members_of_groups(groups, judged & grouped):
        for label in np.unique(labels[group]):
            part = unit[group[labels[group] == label]]
            total = part.sum(0)
            lengths[group, label] += total @ (total - 2 * sums[label])
            products[group, label] -= unit[group] @ total
            counts[group, label] -= len(part)
    cosines: Floats = np.where(counts > 0, products / np.sqrt(lengths.clip(1e-12)), np.float32(-np.inf))
    return cosines


def _members_of_groups(groups: Ints | None, grouped: Bools) -> list[Ints]:
    """Return the samples to judge of each group."""
    rows = np.flatnonzero(grouped)
    if groups is None or not len(rows):
        return []
    rows = rows[np.argsort(groups[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)


def confirmed_by(share: Floats, k: int, wrong: float = 0.5) -> Bools:
    """Return which doubtful samples (n,) have the label of their neighbors.

    Two Gaussians are fitted to the shares. Where there are fewer than max(50, 2·k) samples, or the shares do not
    differ, a label is confirmed whose share is not below the median.

    Args:
        share: (n,) share of the k nearest neighbors that have the same label, n >= 1.
        k: How many neighbors.
        wrong: Probability of the lower Gaussian from which a label is not confirmed, in (0, 1].
    """
    right = upper_group(share) if len(share) >= max(_FEWEST, 2 * k) else None
    confirmed: Bools = share >= np.median(share) if right is None else right > 1 - wrong
    return confirmed
