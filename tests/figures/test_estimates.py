"""An estimated transition matrix is seen beside the real one, and how far it is from it."""

from typing import Any

import numpy as np
from matplotlib.colors import Normalize

from noisy_lightning.figures.estimates import estimated_transition

ESTIMATED = np.array([[0.6, 0.4], [0.3, 0.7]])


def test_the_difference_is_estimated_minus_realized_where_that_is_known() -> None:
    realized = np.array([[0.5, 0.5], [0.0, 0.0]])  # no sample of the second class
    figure = estimated_transition(ESTIMATED, realized, ["a", "b"], "title")
    left, right, difference, *bars = figure.axes
    assert [axes.get_title(loc="left") for axes in (left, right)] == ["estimated, %", "realized, %"]
    assert difference.get_title(loc="left") == "difference, mean 10.00 points"
    assert [text.get_text() for text in difference.texts] == ["+10.0", "−10.0"]
    shown: Any = np.ma.filled(np.ma.asarray(difference.get_images()[0].get_array()), np.nan)
    np.testing.assert_allclose(shown[0], [0.1, -0.1])
    assert np.isnan(shown[1]).all()
    norm = difference.get_images()[0].norm
    assert isinstance(norm, Normalize)
    assert norm.vmin is not None
    assert norm.vmin == -(norm.vmax or 0.0), "no difference is white"
    for axes in (left, right, difference):
        assert axes.get_xlabel() == "given label"
    assert left.get_ylabel() == "true class"
    assert [bar.get_ylabel().split("\n")[-1] for bar in bars] == ["(square-root scale)", "(points)"]


def test_where_nobody_knows_the_truth_the_estimate_stands_alone() -> None:
    for unknown in (None, np.zeros((2, 2))):
        axes, _ = estimated_transition(ESTIMATED, unknown, ["a", "b"]).axes
        assert [text.get_text() for text in axes.texts] == ["60.0", "40.0", "30.0", "70.0"]


def test_a_difference_that_rounds_to_none_is_said_and_no_cell_is_empty() -> None:
    off = np.array([[0.0004, -0.0004], [0.05, -0.05]])
    figure = estimated_transition(ESTIMATED + off, ESTIMATED, ["a", "b"], "title")
    assert [text.get_text() for text in figure.axes[2].texts] == ["0.0", "0.0", "+5.0", "−5.0"]


def test_names_that_fit_below_their_columns_stand_upright() -> None:
    for names, rotation in ((["0", "1"], 0), (["cat", "automobile"], 90)):
        axes = estimated_transition(ESTIMATED, None, names).axes[0]
        assert {label.get_rotation() for label in axes.get_xticklabels()} == {rotation}
