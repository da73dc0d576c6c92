"""The pictures hold what they should, draw without a window system, and degrade with the truth."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from noisy_lightning.figures.samples import (
    loss_and_memorization,
    loss_histograms,
    sample_grid,
    transition_matrices,
)
from noisy_lightning.figures.style import CLEAN, NOISY, as_array
from noisy_lightning.runs.records import Records

E, N, K = 5, 40, 4


def make_records(known: str = "all") -> Records:
    rng = np.random.default_rng(0)
    truth = np.arange(N) % K
    labels = np.where(np.arange(N) < 16, (truth + 1) % K, truth)
    true_labels = {"all": truth, "none": np.full(N, -1), "clean": labels}[known]
    loss = rng.exponential(size=(E, N)).astype(np.float32)
    prediction = rng.integers(0, K, (E, N))
    loss[:, -4:], prediction[:, -4:] = np.nan, -1  # validation samples
    loss[0, 0] = np.inf
    split = np.array(["train"] * (N - 4) + ["val"] * 4)
    epochs = np.array([0, 1, 2, 4, 5])
    return Records(Path(), epochs, loss, loss, prediction, None, labels, true_labels, split)


def texts(figure: Figure) -> list[str]:
    """Return what the legends say."""
    legends = [axes.get_legend() for axes in figure.axes]
    return [text.get_text() for legend in legends if legend is not None for text in legend.get_texts()]


def test_loss_and_memorization_states_its_sample_sizes():
    records = make_records()
    figure = loss_and_memorization(records, "a title")
    left, right = figure.axes
    assert texts(figure)[:2] == ["clean (n = 20)", "noisy (n = 16)"]
    assert [line.get_color() for line in left.get_lines()] == [CLEAN, NOISY]
    assert "n = 16" in right.get_title(loc="left")
    fractions = np.array([line.get_ydata() for line in right.get_lines()], dtype=float)
    np.testing.assert_allclose(fractions.sum(0), 1, rtol=1e-6)
    noisy = np.asarray(left.get_lines()[1].get_ydata(), dtype=float)
    assert noisy[1] == pytest.approx(records.loss[1, :16].mean(), rel=1e-6)
    assert as_array(figure).shape == (256, 690, 3)


@pytest.mark.parametrize(("known", "legend"), [("none", "all samples (n = 36)"), ("clean", "clean (n = 36)")])
def test_loss_and_memorization_without_noise_or_truth(known, legend):
    figure = loss_and_memorization(make_records(known))
    assert texts(figure) == [legend, "all samples"]
    assert figure.axes[1].get_title(loc="left") == "Accuracy on given labels"


@pytest.mark.parametrize("known", ["all", "none", "clean"])
def test_histograms_count_each_group_whole(known):
    records = make_records(known)
    figure = loss_histograms(records.loss[0], records.is_clean, records.is_noisy, "epoch 0")
    expected = {
        "all": ["clean (n = 20)", "noisy (n = 15)"],
        "none": ["all samples (n = 35)"],
        "clean": ["clean (n = 35)"],
    }
    assert texts(figure) == expected[known], "an infinite loss has no place on the axis"
    for steps in figure.axes[0].patches:
        assert np.sum(steps.get_data().values) == pytest.approx(1)  # type: ignore[attr-defined]
    assert as_array(figure).any()


@pytest.mark.parametrize("loss", [np.full(6, np.nan, np.float32), np.zeros(6, np.float32), -np.ones(6, np.float32)])
def test_histograms_of_degenerate_losses_draw(loss):
    as_array(loss_histograms(loss, np.arange(6) < 3, np.arange(6) >= 3))


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_names_given_and_true(channels):
    images = np.random.default_rng(0).integers(0, 256, (10, channels, 8, 8), dtype=np.uint8)
    true: list[str | None] = ["dog", "cat", None, *["cat"] * 7]
    figure = sample_grid(images, ["cat"] * 10, true, np.arange(10, dtype=np.float32), columns=4)
    (axes,) = figure.axes
    assert len(axes.get_images()) == 10
    written = [text.get_text() for text in axes.texts]
    assert written[:6] == ["cat", "true: dog\nloss 0.00", "cat", "true: cat\nloss 1.00", "cat", "loss 2.00"]
    assert [axes.texts[i].get_color() for i in (0, 2)] == [NOISY, CLEAN]
    assert as_array(figure).shape[1] == 400


def test_grid_of_nothing_draws():
    as_array(sample_grid(np.zeros((0, 1, 8, 8), np.uint8), [], [], np.zeros(0, np.float32)))


def names(count: int) -> list[str]:
    return [f"class {label}" for label in range(count)]


def test_a_small_matrix_says_its_numbers():
    realized = np.array([[0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 0]])
    figure = transition_matrices({"nominal": np.eye(3), "realized": realized}, names(3), "a title")
    left, right, _ = figure.axes
    assert [axes.get_title(loc="left").split(",")[0] for axes in (left, right)] == ["nominal", "realized"]
    assert [text.get_text() for text in left.texts] == ["100"] * 3
    assert [text.get_text() for text in right.texts] == ["50.0", "25.0", "25.0", "100"]
    assert [text.get_text() for text in left.get_yticklabels()] == names(3)
    shown = right.get_images()[0].get_array()
    assert shown is not None
    assert np.ma.getmaskarray(shown).all(1).tolist() == [False, False, True], "no sample of a class is no measurement"
    height, width, _ = as_array(figure).shape
    assert 200 < height < width


def test_a_share_that_is_nearly_all_is_not_rounded_to_all():
    matrix = np.array([[0.9994, 0.0006], [0.0004, 0.9996]])
    axes, _ = transition_matrices({"realized": matrix}, names(2)).axes
    assert [text.get_text() for text in axes.texts] == ["99.9", "0.1", "0.0", "100"]


def test_a_large_matrix_has_all_names_and_no_numbers():
    figure = transition_matrices({"realized": np.full((100, 100), 0.01)}, names(100))
    (axes, _) = figure.axes
    assert axes.get_title(loc="left").startswith("realized")
    assert not axes.texts
    assert [text.get_text() for text in axes.get_xticklabels()] == names(100)
    pixels = as_array(figure)
    assert 1000 < pixels.shape[0] < pixels.shape[1] < 1500
    # Names that are as near as they can be do not overlap.
    boxes = [text.get_window_extent() for text in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 - 2 for upper, lower in itertools.pairwise(boxes))


@pytest.mark.parametrize("count", [1, 2, 20])
def test_matrices_of_all_sizes_draw(count):
    matrices = {"nominal": np.eye(count), "realized": np.zeros((count, count))}
    as_array(transition_matrices(matrices, ["a long name of a class"] * count, "x" * 80))


def test_pictures_and_records_need_neither_torch_nor_pyplot():
    code = "import sys, noisy_lightning.figures.samples; print({'torch', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_any_class_name_and_a_long_title_are_drawn_whole() -> None:
    names = [r"\foo$ $x_{$", "the long name of a class"]
    title = "NoisyCrossValidation on ImageFolder, AsFound: most suspicious labels"
    images = np.zeros((2, 1, 4, 4), np.uint8)
    for figure in (
        sample_grid(images, names, names[::-1], np.zeros(2, np.float32), title, columns=4),
        transition_matrices({"T": np.eye(2)}, names, title),
    ):
        as_array(figure)
        (heading,) = figure.texts
        assert heading.get_window_extent().x0 >= 0
        assert heading.get_text().replace("\n", " ") == title


def test_an_axis_of_losses_begins_at_zero_or_at_the_lowest_one() -> None:
    """A loss can be negative, as with a reward for a confident prediction."""
    records = make_records()
    left, _ = loss_and_memorization(records).axes
    assert left.get_ylim()[0] == 0
    below = replace(records, loss=records.loss - 3)
    left, _ = loss_and_memorization(below).axes
    assert left.get_ylim()[0] < min(np.nanmin(line.get_ydata()) for line in left.get_lines())
    for loss, lowest in ((records.loss[1], 0.0), (below.loss[1], np.nanmin(below.loss[1]))):
        (axes,) = loss_histograms(loss, records.is_clean, records.is_noisy).axes
        assert axes.patches[0].get_data().edges[0] == pytest.approx(lowest)  # type: ignore[attr-defined]
