"""Pictures of a setting show what its runs have recorded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisy_lightning.experiments.setting_pictures import Metrics, curves_of, pictures_of
from noisy_lightning.runs.records import load
from tests.conftest import SMALL


def test_curves_of_unequal_length_are_filled_and_empty_ones_are_out() -> None:
    metrics: Metrics = {"a": [[{"x": "1"}, {"x": "2"}], [{"x": "3"}]], "b": [[{"x": ""}]], "c": [[{}]]}
    found = curves_of(metrics, "x")
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], [[1, 2], [3, np.nan]])


@pytest.fixture
def recorded(run: Callable[..., int]) -> Path:
    """Return a small run."""
    assert run("fit", *SMALL) == 0
    return Path("runs/default/0")


def test_without_an_estimate_of_the_method_predictions_of_the_chosen_epoch_stand_in(recorded: Path) -> None:
    shown = dict(pictures_of("all runs", {"CE": [recorded]}, {"CE": "CrossEntropy()"}))
    assert set(shown) == {
        *("validation", "epochs", "losses", "loss_quantiles", "dynamics", "classes", "memorization", "labels"),
        "transition",
    }
    best = json.loads((recorded / "result.json").read_text())["best_epoch"]["epoch"]
    seen = load(recorded)
    title = shown["transition"].get_suptitle().replace("\n", " ")
    assert title.endswith(f"as the predictions of epoch {best + 1} have it (given label by prediction)")
    row = seen.prediction[best]
    drawn: Any = np.ma.filled(np.ma.asarray(shown["transition"].axes[0].get_images()[0].get_array()), 0)
    for predicted in np.unique(row[row >= 0]):
        share = np.bincount(seen.labels[row == predicted], minlength=10) / (row == predicted).sum()
        np.testing.assert_allclose(drawn[predicted], share)


def test_an_estimate_of_the_method_is_drawn_beside_the_labels_own_matrix(recorded: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(recorded, other)
    result = json.loads((other / "result.json").read_text())
    estimated = np.full((10, 10), 0.1)
    result["transition"] = {"estimated": estimated.tolist(), "mean_absolute_error": 0.1}
    (other / "result.json").write_text(json.dumps(result))
    shown = dict(pictures_of("", {"CE": [recorded], "T": [other]}, {}))
    title = shown["transition"].get_suptitle()
    assert "T, as the method has estimated it" in title.replace("\n", " ")
    left, right, *_ = shown["transition"].axes
    np.testing.assert_allclose(np.asarray(left.get_images()[0].get_array()), estimated)
    seen = load(other)
    realized = np.asarray(right.get_images()[0].get_array())
    assert realized[3, 3] == pytest.approx((seen.labels[seen.true_labels == 3] == 3).mean())


def test_of_unknown_truth_what_is_known_is_drawn(recorded: Path) -> None:
    noise = recorded / "noise.csv"
    lines = noise.read_text().splitlines()
    column = lines[0].split(",").index("true_label")
    cells = [line.split(",") for line in lines[1:]]
    blank = [",".join([*row[:column], "", *row[column + 1 :]]) for row in cells]
    noise.write_text("\n".join([lines[0], *blank]) + "\n")
    shown = dict(pictures_of("", {"CE": [recorded]}, {}))
    assert "memorization" not in shown
    assert len(shown["transition"].axes) == 2, "the estimate and its bar"
    assert [axes.get_title(loc="left") for axes in shown["dynamics"].axes[:1]] == ["CE: all samples (n = 1,293)"]
    assert shown["classes"].get_suptitle().replace("\n", " ").endswith("on the training images' given labels")


@pytest.mark.parametrize(
    "damage",
    [
        {"class_names": ["a", "b"]},
        {"class_names": "abcdefghijk"},
        {"class_names": 5},
        {"transition": {"x": 1}},
        {"transition": {"estimated": [[1.0, 0.0], [0.0, 1.0]]}},
    ],
    ids=str,
)
def test_a_damaged_run_is_left_out_and_the_others_are_shown(
    damage: dict[str, Any], recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    shutil.copytree(recorded, other)
    result = json.loads((other / "result.json").read_text())
    (other / "result.json").write_text(json.dumps(result | damage))
    capsys.readouterr()
    shown = dict(pictures_of("", {"CE": [recorded], "damaged": [other]}, {}))
    assert [axes.get_title(loc="left") for axes in shown["losses"].axes] == ["CE"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("left out of the pictures")


def test_what_is_no_number_is_missing_from_a_curve() -> None:
    found = curves_of({"a": [[{"x": "1"}, {"x": "word"}]]}, "x")
    np.testing.assert_array_equal(found["a"], [[1, np.nan]])
