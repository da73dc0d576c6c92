"""What is marked as the best: by numbers worked by hand, and by a library's own test."""

import math

import numpy as np
import pytest

from noisy_lightning.experiments.best import marks

QUANTILE = 3.182446305284263  # of Student's t with 3 degrees of freedom at 1 - 0.05 / 2, as printed tables have it


def test_the_difference_that_is_found_is_that_of_the_formula() -> None:
    cells = [[80.0, 84.0], [60.0, 62.0], [50.0, 52.0]]  # variances 8, 2, 2: pooled 4, s = 2, three degrees of freedom
    found = marks(cells)
    assert found.difference == pytest.approx(QUANTILE * 2 * math.sqrt(1 / 2 + 1 / 2))
    assert (sorted(found.best), sorted(found.highest)) == ([0], [])


def test_two_runs_of_which_one_is_bad_tie_with_nothing() -> None:
    bad = [74.17, 86.67]  # 80.42 ± 8.84
    for others in ([], [[50.0, 51.0]], [[50.0, 51.0], [49.0, 48.0], [60.0, 60.5]]):
        found = marks([bad, [92.0, 92.16], *others])
        assert 0 not in found.best | found.highest
        assert (found.best | found.highest) == {1}


def test_of_three_runs_what_the_test_cannot_tell_from_the_highest_is_the_best_too() -> None:
    cells = [[80.0, 84.0, 82.0], [81.0, 79.0, 83.0], [50.0, 52.0, 51.0]]
    assert marks(cells).best == {0, 1}


def test_where_nothing_is_told_apart_only_the_highest_is_marked() -> None:
    found = marks([[80.0, 84.0, 82.0], [81.0, 79.0, 83.0]])
    assert (sorted(found.best), sorted(found.highest)) == ([], [0])
    assert found.difference is not None


@pytest.mark.parametrize("cells", [[[60.0], [50.0]], [[60.0, 61.0, 62.0], [50.0]], [[60.0, 60.0], [50.0, 50.0]]])
def test_what_has_no_spread_is_not_tested(cells: list[list[float]]) -> None:
    assert marks(cells) == (frozenset(), frozenset({0}), None)


def test_equal_means_of_single_runs_are_both_the_highest() -> None:
    assert marks([[62.06], [62.06], [10.0]]).highest == {0, 1}


def test_a_cell_alone_competes_with_nothing() -> None:
    assert marks([[1.0, 2.0, 3.0]]) == (frozenset(), frozenset(), None)


def test_a_cell_of_fewer_runs_needs_a_larger_difference() -> None:
    cells = [[90.0, 91.0, 92.0, 91.0], [80.0, 82.0], [70.0, 72.0]]
    squares = 2 + 2 + 2
    spread = math.sqrt(squares / 5)
    # The quantile of t with 5 degrees of freedom at 0.975.
    assert marks(cells).difference == pytest.approx(2.570581835636197 * spread * math.sqrt(1 / 2 + 1 / 4))


def test_what_is_called_lower_dunnetts_test_calls_lower_too() -> None:
    dunnett = pytest.importorskip("scipy.stats").dunnett
    random = np.random.default_rng(0)
    lower = 0
    for _ in range(20):
        residuals = random.normal(0, 1, 4)  # the same of all cells, whose variances are pooled then
        cells = [(80 + residuals - residuals.mean() + shift).tolist() for shift in (0, -1, -2, -3) * random.random(4)]
        best = max(range(4), key=lambda place: np.mean(cells[place]))
        others = [place for place in range(4) if place != best]
        by_dunnett = dunnett(*(cells[place] for place in others), control=cells[best], alternative="less", rng=0)
        found = marks(cells)
        called = set(others) - found.best if found.best else set()
        lower += len(called)
        assert called <= {place for place, p in zip(others, by_dunnett.pvalue, strict=True) if p < 0.05}
    assert lower > 20


def test_an_unsteady_cell_hides_no_other() -> None:
    steady = [[95.0 + shift, 95.2 + shift, 94.9 + shift] for shift in (0.0, -3.0, -6.0, -9.0)]
    found = marks([*steady, [70.0, 85.0, 77.0]])
    assert found.best == {0}
    assert found.difference is not None
    assert found.difference < 3


def test_what_is_too_unsteady_to_be_told_apart_is_not_called_the_best() -> None:
    steady = [[95.0 + shift, 95.2 + shift, 94.9 + shift] for shift in (0.0, -0.1, -3.0, -6.0, -9.0)]
    found = marks([*steady, [70.0, 99.0, 80.0]])  # 83.0 ± 14.7
    assert found.best == {0, 1}


@pytest.mark.parametrize(
    "cells",
    [
        [[90.0, 90.1], [80.0, 90.0], [70.0, 71.0], [60.0, 60.2], [50.0, 53.0]],
        [[81.6, 81.3], [70.6, 67.8], [60.1, 60.7]],  # hardly more different than chance has it
    ],
)
def test_variances_are_drawn_towards_what_is_usual(cells: list[list[float]]) -> None:
    special = pytest.importorskip("scipy.special")
    variances = np.array([np.var(values, ddof=1) for values in cells])
    # Of log s² with one degree of freedom each: mean log s0² + digamma(1/2) - log(1/2) - digamma(d0/2) + log(d0/2),
    # variance trigamma(1/2) + trigamma(d0/2).
    logs = np.log(variances) - special.digamma(0.5) + np.log(0.5)
    beyond = logs.var(ddof=1) - special.polygamma(1, 0.5)
    grid = np.linspace(0.2, 20, 2_000_001)
    half = grid[np.abs(special.polygamma(1, grid) - beyond).argmin()]
    usual = np.exp(logs.mean() + special.digamma(half) - np.log(half))
    moderated = (2 * half * usual + variances) / (2 * half + 1)
    errors = moderated / 2
    both = errors + errors[0]
    freedom = np.minimum(len(cells), both**2 / (errors**2 + errors[0] ** 2) * (2 * half + 1))
    differences = special.stdtrit(freedom, 1 - 0.05 / (len(cells) - 1)) * np.sqrt(both)
    assert marks(cells).difference == pytest.approx(np.median(differences[1:]), rel=1e-4)


def test_of_equal_methods_the_truly_best_is_hardly_ever_called_lower() -> None:
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(1000):
        found = marks(random.normal(80, 2, (5, 3)).tolist())
        missed += bool(found.best) and 0 not in found.best
    assert missed <= 0.06 * 1000
