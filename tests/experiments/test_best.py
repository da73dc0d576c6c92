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
        cells = [(random.normal(80, 1, 4) + shift).tolist() for shift in (0, -1, -2, -3)]
        best = max(range(4), key=lambda place: np.mean(cells[place]))
        others = [place for place in range(4) if place != best]
        by_dunnett = dunnett(*(cells[place] for place in others), control=cells[best], alternative="less", rng=0)
        found = marks(cells)
        called = set(others) - found.best if found.best else set()
        lower += len(called)
        assert called <= {place for place, p in zip(others, by_dunnett.pvalue, strict=True) if p < 0.05}
    assert lower > 20


def test_of_equal_methods_the_truly_best_is_hardly_ever_called_lower() -> None:
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        found = marks(random.normal(80, 2, (5, 3)).tolist())
        missed += bool(found.best) and 0 not in found.best
    assert missed <= 0.05 * 400
