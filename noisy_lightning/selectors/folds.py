"""Parts of a training set for cross-validation: of the same mix of classes, and without tearing groups apart."""

import numpy as np

from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import Ints
from noisy_lightning.selectors.base import Members


def stratified_folds(
    labels: Ints, members: Members, folds: int, generator: np.random.Generator, groups: Ints | None = None
) -> Ints:
    """Return the fold (N,) in [0, folds) of each member, -1 for the others.

    Each class is spread evenly over the folds; so are groups, which stay whole, as far as their sizes allow.

    Args:
        labels: (N,) int in [0, K).
        members: (n,) positions of those that take part.
        folds: How many, >= 2.
        generator: What draws.
        groups: (N,) as in `Task`.

    Raises:
        InputError: There are fewer members, or groups of them, than folds.
    """
    fold = np.full(len(labels), -1)
    shuffled = generator.permutation(members)
    first, units = _units(shuffled, groups)
    if folds > len(first):
        raise InputError(f"selector.folds must be at most {len(first)}, the samples or groups to judge, got {folds}")
    sizes = np.bincount(units)
    # Large groups first: what is small evens out what they have left uneven.
    order = np.lexsort((-sizes, labels[first]))
    of_unit = np.empty(len(first), int)
    if len(first) == len(members):  # no groups: deal out each class in turn, and go on where the last one ended
        of_unit[order] = np.arange(len(order)) % folds
    else:
        of_unit[order] = _dealt(labels[first][order], sizes[order], folds)
    fold[shuffled] = of_unit[units]
    return fold


def _units(members: Members, groups: Ints | None) -> tuple[Members, Members]:
    """Return the first member of each unit, a group or a sample without one, and the unit (n,) of each member."""
    if groups is None:
        return members, np.arange(len(members))
    alone = groups[members] < 0
    names = np.where(alone, groups.max() + 1 + np.arange(len(members)), groups[members])
    _, places, units = np.unique(names, return_index=True, return_inverse=True)
    return members[places], units


def _dealt(labels: Ints, sizes: Ints, folds: int) -> Ints:
    """Give each unit to the fold that has the fewest samples of its class, and of all those the fewest of any."""
    of_class = np.zeros((int(labels.max()) + 1, folds), int)
    dealt = np.empty(len(labels), int)
    for unit, (label, size) in enumerate(zip(labels.tolist(), sizes.tolist(), strict=True)):
        dealt[unit] = np.lexsort((of_class.sum(0), of_class[label]))[0]
        of_class[label, dealt[unit]] += size
    return dealt
