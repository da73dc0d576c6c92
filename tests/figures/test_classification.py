"""Pictures of answers hold what they should, for few and for many classes."""

from typing import Any

import numpy as np
import pytest

from noisy_lightning.figures.classification import confusion_picture, reliability_diagram
from noisy_lightning.figures.style import as_array
from noisy_lightning.runs.classification import calibration


def _names(count: int) -> list[str]:
    return [f"class {label}" for label in range(count)]


def test_a_small_confusion_matrix_says_its_counts_and_both_axes() -> None:
    confusion = np.array([[3, 1, 0], [0, 12345, 0], [0, 0, 0]])
    figure = confusion_picture(confusion, _names(3), "a title")
    axes, bar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert bar.get_ylabel() == "share of the true class\n(square-root scale)"
    assert [text.get_text() for text in axes.texts] == ["3", "1", "12345"]
    assert [label.get_text() for label in axes.get_yticklabels()] == _names(3)
    shown: Any = np.ma.filled(np.ma.asarray(axes.get_images()[0].get_array()), np.nan)
    np.testing.assert_allclose(shown[:2], np.array([[0.75, 0.25, 0.0], [0.0, 1.0, 0.0]]))
    assert np.isnan(shown[2]).all(), "no image of a class is no measurement"
    as_array(figure)


@pytest.mark.parametrize(("count", "named"), [(2, True), (100, True), (1000, False)])
def test_confusion_matrices_of_all_sizes_fit_a_screen(count: int, named: bool) -> None:
    names = [f"{name}, $a long {{ name" * 3 for name in _names(count)]
    figure = confusion_picture(np.eye(count, dtype=np.int64), names)
    height, width, _ = as_array(figure).shape
    assert max(height, width) < 1700
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert (len(labels) == count) == named
    if named:
        assert labels[0].endswith("…")
        assert len(labels[0]) == 30


def test_a_reliability_diagram_says_its_error() -> None:
    found = calibration(np.array([0.2, 0.4, 0.9, 0.95], np.float32), np.array([True, False, True, True]), bins=5)
    figure = reliability_diagram(found, "a title")
    upper, lower = figure.axes
    assert upper.get_title(loc="left") == f"Calibration error {100 * found.error:.2f} % (ECE, 5 bins)"
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("accuracy", "predictions")
    assert lower.get_xlabel() == "probability of the predicted class"
    measured = upper.get_lines()[1]
    np.testing.assert_allclose(np.asarray(measured.get_ydata())[[0, 1, 4]], [1, 0, 1])
    as_array(figure)
