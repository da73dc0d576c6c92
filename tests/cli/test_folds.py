import json
from pathlib import Path

import numpy as np
import pytest

from noisy_lightning.cli.folds import FoldRuns
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import Floats
from noisy_lightning.selectors import Fold

LABELS = np.array([0, 1, 0, 1])
FOLD = Fold("fold_1", np.array([1, 1, 0, 0], bool), np.array([0, 0, 1, 1], bool))


def _trained(folder: Path, probability: Floats) -> FoldRuns:
    """Return the runs of a selection whose only fold has predicted this of the first images."""
    run = folder / "folds/fold_1"
    run.mkdir(parents=True)
    (run / "result.json").write_text(json.dumps({"epochs": 1}))
    np.savez(run / "predictions_last.npz", index=np.arange(len(probability)), probability=probability)
    return FoldRuns(folder, folder / "fit.yaml", LABELS, 2)


def test_what_was_predicted_is_read_and_not_trained_again(tmp_path: Path) -> None:
    seen = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], np.float32)
    (probability,) = _trained(tmp_path, seen).probabilities([FOLD])
    np.testing.assert_array_equal(probability, [*seen, [np.nan, np.nan]])  # the last image cannot be read


def test_a_run_that_diverged_is_named(tmp_path: Path) -> None:
    seen = np.array([[0.9, 0.1], [np.nan, np.nan], [0.5, 0.5]], np.float32)
    message = r"fold_1 predicts NaN for 1 of 3 images: its training has diverged, see \S+fold_1/metrics\.csv"
    with pytest.raises(InputError, match=message):
        _trained(tmp_path, seen).probabilities([FOLD])


def test_a_fold_is_trained_on_its_part_and_chosen_on_what_it_held_out(tmp_path: Path) -> None:
    """Whatever the configuration monitors: the selection needs the accuracy on the given labels."""
    runs = _trained(tmp_path, np.ones((1, 2), np.float32))
    best = Fold("fold_2", FOLD.train, FOLD.held_out, best=True, epochs=3)
    command = runs._fit_command(best)
    assert command[:4] == ["fit", "--config", str(tmp_path / "fit.yaml"), "--data.selection"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--monitor"] == "val/acc"
    assert options["--data.validation"] == "given"
    assert float(options["--data.val_fraction"]) > 0
    assert options["--trainer.max_epochs"] == "3"
    lines = Path(options["--data.selection"]).read_text().split()
    assert lines == ["index,y_noisy,select,candidate,validate", "0,0,1,0,0", "1,1,1,0,0", "2,0,0,0,1", "3,1,0,0,1"]
    last = runs._fit_command(FOLD)
    assert "--monitor" not in last
    assert "--trainer.max_epochs" not in last
    assert last[last.index("--data.validation") + 1] == "none"
