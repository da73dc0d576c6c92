from itertools import pairwise

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import BarContainer

from noisy_lightning.figures.experiments import (
    accuracy_over_rate,
    class_convergence,
    curves_over_epochs,
    label_distribution,
    selection_over_epochs,
    validation_curves,
)
from noisy_lightning.figures.panels import Over
from noisy_lightning.figures.style import CLEAN, NOISY, as_array


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


def test_losses_of_different_functions_have_panels_of_their_own() -> None:
    loss = {"CE": np.array([[2.0, 1.0]]), "MAE": np.array([[0.9, 0.8]]), "ELR": np.array([[3.0, 2.0]])}
    accuracy = {name: 1 - values / 4 for name, values in loss.items()}
    first, *others = validation_curves(loss, accuracy, "", {"CE": "CE()", "MAE": "MAE()", "ELR": "CE()"}).axes
    assert [[line.get_label() for line in axes.lines] for axes in others] == [["CE", "ELR"], ["MAE"]]
    assert [axes.get_title(loc="left") for axes in others] == ["CE()", "MAE()"]
    assert [line.get_label() for line in first.lines] == ["CE", "MAE", "ELR"]
    colors = {str(line.get_label()): line.get_color() for line in first.lines}
    assert all(line.get_color() == colors[str(line.get_label())] for axes in others for line in axes.lines)
    _, *others = validation_curves(loss, accuracy, "").axes
    assert len(others) == 3, "without a word on their functions, none are taken for the same"


def test_axes_of_accuracies_end_with_the_data_and_count_epochs_from_one() -> None:
    curves = {"CE": np.array([[0.90, 0.93, 0.95]])}
    _, test = curves_over_epochs({"Training": curves, "Test": {"CE": curves["CE"] - 0.3}}, "").axes
    low, high = test.get_ylim()
    assert 0.55 < low < 0.6
    assert 0.65 < high < 0.7
    np.testing.assert_array_equal(np.asarray(test.lines[0].get_xdata()), [1, 2, 3])
    (axes,) = accuracy_over_rate({"Symmetric": {"CE": Over([0.0, 0.2], [[1.0], [0.99]])}}, "").axes
    assert axes.get_ylim()[1] < 1.03
    assert axes.get_ylabel() == "test accuracy"
    assert [label.get_text() for label in _drawn(axes).get_xticklabels()] == ["0 %", "20 %"]


def test_precision_and_recall_say_what_they_are_of() -> None:
    curves = {"Co-teaching": np.array([[0.5, 0.9]])}
    figure = selection_over_epochs(curves, curves, "")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        *("Label precision: kept that are clean", "Label recall: clean that are kept")
    ]


def _drawn(axes: Axes) -> Axes:
    as_array(axes.get_figure(root=True))  # type: ignore[arg-type]
    return axes
