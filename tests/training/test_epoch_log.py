"""Epochs count from 1 and classes have names where people look, and both are indices in what programs read."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from noisy_lightning.data import Digits
from noisy_lightning.runs.records import load
from tests.conftest import SMALL

NAMES = ["zero", "one/uno", "two dos", "drei", "четыре", "five", "six", "seven", "eight", "nine"]
TAGS = ["zero", "one_uno", "two_dos", "drei", "четыре", "five", "six", "seven", "eight", "nine"]


def _board(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"histograms": 0, "images": 0}).Reload()


def test_people_count_epochs_from_one_and_read_names_of_classes_and_programs_indices(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Digits, "class_names", tuple(NAMES))
    assert run("fit", *SMALL, "--test_every_epoch", "true", "--recorder.pictures", "true") == 0
    folder = tmp_path / "runs/default/0"
    assert run("test", str(folder), "last") == 0
    printed = capsys.readouterr().out
    assert "epoch 1/2 " in printed
    assert "epoch 2/2 " in printed
    assert "epoch 0" not in printed
    assert all(f"\n{name} " in printed for name in NAMES)

    board = _board(folder)
    tags = board.Tags()["scalars"]
    for tag in ("lr", "val/acc", "train/loss", "test/acc", *(f"train_class/{name}" for name in TAGS)):
        assert [event.step for event in board.Scalars(tag)] == [1, 2], tag
    assert [event.step for event in board.Images("train_samples/highest_losses")] == [1, 2]
    assert [event.step for event in _board(folder / "noisy").Scalars("train/loss")] == [1, 2]
    assert [event.step for event in _board(folder / "clean").Histograms("train_samples/margin")] == [1, 2]
    assert {tag for tag in tags if "acc_class" in tag} == {f"test/acc_class/{name}" for name in TAGS}
    (text,) = _board(folder / "final").Tensors("test/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    assert "last (epoch 2)" in table
    assert all(f"accuracy of {name} |" in table for name in NAMES)

    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert {f"test/acc_class/{k}" for k in range(10)} <= rows[0].keys()
    assert {"train/loss_clean", "train/loss_noisy", "train/memorised", "train/acc_true"} <= rows[0].keys()
    assert load(folder).epochs.tolist() == [0, 1]
    tested = json.loads((folder / "result.json").read_text())["test"]["last"]
    assert tested["epoch"] == 1
    assert {f"test/acc_class/{k}" for k in range(10)} <= tested.keys()
