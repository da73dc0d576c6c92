"""What single samples went through is drawn as it was recorded."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.container import BarContainer

from noisy_lightning.figures.dynamics import (
    Fates,
    confidence_of,
    fates_of,
    loss_quantiles,
    memorization_by_class,
    spread_of,
    training_dynamics_map,
)
from noisy_lightning.runs.records import Records


def _records(count: int = 200, epochs: int = 4) -> Records:
    """Return a run in which the first quarter of the samples is noisy and the last sample was never seen."""
    rng = np.random.default_rng(0)
    true = np.arange(count) % 3
    labels = np.where(np.arange(count) < count // 4, (true + 1) % 3, true)
    confidence = rng.random((epochs, count)).astype(np.float32)
    loss, prediction = -np.log(confidence), rng.integers(0, 3, (epochs, count))
    confidence[:, -1], loss[:, -1], prediction[:, -1] = np.nan, np.nan, -1
    return Records(Path(), np.arange(epochs), loss, confidence, prediction, None, labels, true, np.full(count, "train"))


def test_confidence_is_that_of_the_epochs_that_saw_a_sample() -> None:
    records = _records()
    records.confidence[1:3, 0] = np.nan
    found = confidence_of(records)
    kept = records.confidence[[0, 3], 0]
    assert (found.mean[0], found.deviation[0]) == pytest.approx((kept.mean(), kept.std()))
    np.testing.assert_allclose(found.mean[1:-1], records.confidence[:, 1:-1].mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.deviation[1:-1], records.confidence[:, 1:-1].std(0), rtol=1e-4)
    assert np.isnan([found.mean[-1], found.deviation[-1]]).all()


def test_a_map_counts_each_clean_and_each_noisy_sample_once() -> None:
    figure = training_dynamics_map({"CE": confidence_of(_records())}, "")
    clean, noisy, bar = figure.axes
    counts = [np.asarray(axes.collections[0].get_array()).sum() for axes in (clean, noisy)]
    assert counts == [149, 50]
    headings = [axes.get_title(loc="left") for axes in (clean, noisy)]
    assert headings == ["CE: clean (n = 149)", "CE: noisy (n = 50)"]
    assert clean.get_xlabel() == "standard deviation over 4 epochs"
    assert clean.get_xlim() == noisy.get_xlim()
    assert bar.get_ylabel() == "samples in a cell (logarithmic scale)"
    norms = [axes.collections[0].norm for axes in (clean, noisy)]
    assert norms[0] == norms[1], "the same shade is the same count"
    assert norms[0].vmax == max(np.asarray(axes.collections[0].get_array()).max() for axes in (clean, noisy))


def test_a_map_of_many_samples_is_a_small_file() -> None:
    found = confidence_of(_records(50_000, 3))
    figure, buffer = training_dynamics_map({"CE": found}, ""), io.BytesIO()
    figure.savefig(buffer, format="pdf")
    assert buffer.tell() < 150_000


def test_bands_are_percentiles_of_what_was_seen_and_finite() -> None:
    records = _records()
    records.loss[0, :10] = np.inf
    found = spread_of(records)
    assert found.bands["noisy"][:, 0] == pytest.approx(np.percentile(records.loss[0, 10:50], [5, 25, 50, 75, 95]))
    figure = loss_quantiles({"CE": found}, "")
    clean, noisy = figure.axes
    expected = np.percentile(records.loss[1, :50], [5, 25, 50, 75, 95])
    assert np.asarray(noisy.lines[0].get_ydata())[1] == pytest.approx(expected[2])
    for band, (low, high) in zip(noisy.collections, ((0, 4), (1, 3)), strict=True):
        assert isinstance(band, PolyCollection)
        corners = np.asarray(band.get_paths()[0].vertices)
        at = corners[corners[:, 0] == 2][:, 1]  # the second epoch
        assert (at.min(), at.max()) == pytest.approx((expected[low], expected[high]))
    assert clean.get_ylim() == noisy.get_ylim()
    assert clean.get_ylim()[0] == 0
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["5 to 95 %", "25 to 75 %", "median"]


def test_methods_whose_losses_differ_have_axes_of_their_own() -> None:
    records = _records()
    larger = replace(records, loss=10 * records.loss)
    clean, _, clean_of_other, _ = loss_quantiles({"CE": spread_of(records), "other": spread_of(larger)}, "").axes
    assert clean_of_other.get_ylim()[1] == pytest.approx(10 * clean.get_ylim()[1])


def test_without_known_truth_all_samples_are_drawn() -> None:
    unknown = replace(_records(), true_labels=np.full(200, -1))
    (axes,) = loss_quantiles({"CE": spread_of(unknown)}, "").axes
    assert axes.get_title(loc="left") == "CE: all samples (n = 199)"


def test_bars_are_shares_of_the_noisy_samples_of_a_class() -> None:
    # Of class 0 one is memorized and one corrected, of class 1 one is neither; the foreign one has no true class.
    fates = Fates(np.array([0, 0, 1, -2]), np.array([1, 2, 2, 0]), np.array([1, 0, 0, 0]))
    by_true, by_given = memorization_by_class({"CE": fates}, ["a", "b", "c"], "").axes
    heights = [
        [[bar.get_height() for bar in bars] for bars in axes.containers if isinstance(bars, BarContainer)]
        for axes in (by_true, by_given)
    ]
    assert heights[0] == [[0.5, 0, 0], [0.5, 0, 0], [0, 1, 0]]
    assert heights[1] == [[1, 1, 0], [0, 0, 0.5], [0, 0, 0.5]]
    assert [axes.get_xlabel() for axes in (by_true, by_given)] == ["true class", "given label"]
    assert [axes.get_title(loc="left") for axes in (by_true, by_given)] == ["CE (n = 3)", "CE (n = 4)"]
    assert by_true.get_ylim() == (0, 1)


def test_fates_are_those_of_noisy_samples_that_the_last_epoch_saw() -> None:
    records = _records()
    records.prediction[-1, 3] = -1
    fates = fates_of(records)
    assert len(fates.true) == 49
    assert (fates.true != fates.given).all()
