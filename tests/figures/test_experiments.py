from itertools import pairwise

import numpy as np
import pytest
from matplotlib.container import BarContainer

from noisy_lightning.figures.experiments import accuracy_over_rate, class_convergence, label_distribution
from noisy_lightning.figures.panels import Over
from noisy_lightning.figures.style import CLEAN, NOISY


def test_a_band_is_the_sample_deviation_around_the_mean() -> None:
    over = Over([0.2, 0.4], [[0.5, 0.7], [0.4]])
    figure = accuracy_over_rate({"Symmetric": {"CE": over}}, "title")
    (axes,) = figure.axes
    (line,), (band,) = axes.lines, axes.collections
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.6, 0.4])
    heights = np.asarray(band.get_paths()[0].vertices)
    at_first = heights[heights[:, 0] == 0.2][:, 1]
    assert (at_first.min(), at_first.max()) == pytest.approx((0.6 - 0.02**0.5, 0.6 + 0.02**0.5))
    at_second = heights[heights[:, 0] == 0.4][:, 1]
    assert at_second == pytest.approx(0.4), "of a single run there is no deviation"
    title = figure.get_suptitle().replace("\n", " ")
    assert title == "title (n = 1 to 2 runs; line: mean, band: one standard deviation)"


def test_best_and_worst_class_are_those_of_the_last_epoch() -> None:
    accuracy = np.array([[0.9, 0.1, 0.5, np.nan], [0.2, 0.8, 0.5, np.nan]], np.float32)
    (axes,) = class_convergence({"CE": accuracy}, {"CE": ["a", "b", "c", "d"]}, "").axes
    best, worst = axes.lines[4:]
    assert (best.get_label(), best.get_color()) == ("best: b", CLEAN)
    assert (worst.get_label(), worst.get_color()) == ("worst: a", NOISY)
    np.testing.assert_array_equal(np.asarray(best.get_ydata()), accuracy[:, 1])


def test_each_method_has_classes_of_its_own() -> None:
    methods = {"one": np.array([[0.1, 0.5, 0.9]]), "other": np.array([[0.9, 0.1]])}
    names = {"one": ["a", "b", "c"], "other": ["yes", "no"]}
    one, other = class_convergence(methods, names, "").axes
    assert [line.get_label() for line in one.lines[3:]] == ["best: c", "worst: a"]
    assert [line.get_label() for line in other.lines[2:]] == ["best: yes", "worst: no"]


def test_labels_are_counted_by_class_and_foreign_or_unknown_ones_not_at_all() -> None:
    true, given = np.array([0, 1, 1, -1, -2]), np.array([0, 0, 1, 1, 1])
    (axes,) = label_distribution(true, given, ["a", "b"], "").axes
    bars = [container for container in axes.containers if isinstance(container, BarContainer)]
    assert [container.get_label() for container in bars] == ["true (n = 3)", "given (n = 5)"]
    assert [[patch.get_height() for patch in container] for container in bars] == [[1, 2], [2, 3]]
    edges = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for container in bars for patch in container)
    assert all(end <= start + 1e-9 for (_, end), (start, _) in pairwise(edges)), "no bar hides another"
