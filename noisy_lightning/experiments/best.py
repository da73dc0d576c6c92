"""Which of several means are the best: what bold and italic numbers in a table stand for."""

from collections.abc import Sequence
from functools import cache
from math import sqrt
from statistics import mean, variance
from typing import NamedTuple

LEVEL = 0.05
"""How often the truly best of several is called lower than another, at most."""
FEWEST = 3
"""Runs of a cell that may tie: with two, a single bad run hides any difference."""

THE_TEST = "Test: one-sided t against the highest, pooled variance, 5 % by Bonferroni (Hsu, 1984)."


class Marks(NamedTuple):
    """What is to be marked among k cells that compete."""

    best: frozenset[int]
    """The highest and what ties with it, where the test finds others lower."""
    highest: frozenset[int]
    """The highest, where the test does not; several only if they are equal."""
    difference: float | None
    """The smallest difference from the highest mean that the test finds in every cell; None: there was no test."""


def marks(cells: Sequence[Sequence[float]]) -> Marks:
    """Compare cells with the one of the highest mean.

    A cell is lower if its mean is below the highest by more than t · s · √(1/n + 1/n_highest): s² is the variance
    within all k cells, t the quantile at 1 − `LEVEL` / (k − 1) of Student's t with Σ(n − 1) degrees of freedom. Pooling
    is what makes a test of two or three runs worth anything; it holds as far as cells spread alike. Seeds that cells
    share make them more alike than the test takes them to be: it errs on the side of finding nothing.

    Ties are marked only where the test finds some cell lower (else it has told nothing apart), and only of cells of
    three runs or more.

    Source: Hsu, Constrained simultaneous confidence intervals for multiple comparisons with the best, Annals of
    Statistics 12(3), 1984, whose critical value, Dunnett's one-sided one, t bounds from above; the cells that are not
    lower are the subset of Gupta, On some multiple decision (selection and ranking) rules, Technometrics 7(2), 1965.

    Args:
        cells: k samples of n >= 1 values each, of any n.
    """
    means = [mean(values) for values in cells]
    top = max(means)
    highest = frozenset(place for place, value in enumerate(means) if value == top)
    spread = _pooled(cells)
    if len(cells) < 2:
        return Marks(frozenset(), frozenset(), None)
    if spread is None:
        return Marks(frozenset(), highest, None)
    first = min(highest)
    t = _quantile(1 - LEVEL / (len(cells) - 1), sum(map(len, cells)) - len(cells))
    found = [t * spread * sqrt(1 / len(values) + 1 / len(cells[first])) for values in cells]
    tied = frozenset(place for place, value in enumerate(means) if top - value <= found[place])
    largest = max(difference for place, difference in enumerate(found) if place != first)
    told_apart = len(tied) < len(cells)
    if told_apart and (len(tied) == 1 or min(len(cells[place]) for place in tied) >= FEWEST):
        return Marks(tied, frozenset(), largest)
    return Marks(frozenset(), highest, largest)


def _pooled(cells: Sequence[Sequence[float]]) -> float | None:
    """Return the standard deviation within cells; None where a cell has none, or none has any."""
    if min(map(len, cells)) < 2:
        return None
    squares = sum(variance(values) * (len(values) - 1) for values in cells)
    return sqrt(squares / (sum(map(len, cells)) - len(cells))) or None


@cache
def _quantile(probability: float, freedom: int) -> float:
    from scipy.special import stdtrit  # noqa: PLC0415  # slow to import

    return float(stdtrit(freedom, probability))
