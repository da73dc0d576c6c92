"""What a test leaves in the folder of a run."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisy_lightning import load_run
from tests.conftest import SMALL

Run = Callable[..., int]
TABLES = {"classes.csv", "confusion.csv", "calibration.csv", "images.csv"}
PICTURES = {"confusion.png", "calibration.png", "hardest.png"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_a_test_leaves_tables_that_agree_with_its_numbers(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL) == 0
    capsys.readouterr()
    assert run("test", "runs/default/0", "--data.test_sets", "{again: Digits}") == 0
    shown = capsys.readouterr().out
    assert "class   n  best: precision  recall" in shown
    assert "test again, in %:" in shown
    assert "files  runs/default/0/test/best, runs/default/0/test/last: " in shown
    result = load_run("runs/default/0").result["test"]
    for checkpoint in ("best", "last"):
        folder, numbers = Path("runs/default/0/test", checkpoint), result[checkpoint]
        assert _files(folder) == _files(folder / "again") == TABLES, "recorder.pictures is false"
        assert (folder / "images.csv").read_text() == (folder / "again/images.csv").read_text()
        classes = _rows(folder / "classes.csv")
        for k, row in enumerate(classes):
            assert float(row["recall"]) == pytest.approx(numbers[f"test/acc_class/{k}"], abs=1e-6)
        images = _rows(folder / "images.csv")
        losses = [float(row["loss"]) for row in images]
        assert losses == sorted(losses, reverse=True)
        assert np.mean(losses) == pytest.approx(numbers["test/loss"], rel=1e-5)
        right = [row["true"] == row["predicted"] for row in images]
        assert np.mean(right) == pytest.approx(numbers["test/acc"])
        assert {int(row["index"]) for row in images} == set(range(360))
        confusion = _rows(folder / "confusion.csv")
        assert sum(int(row[row["true class"]]) for row in confusion) == sum(right)
        bins = [row for row in _rows(folder / "calibration.csv") if row["n"] != "0"]
        gaps = [int(row["n"]) * abs(float(row["accuracy"]) - float(row["confidence"])) for row in bins]
        assert sum(gaps) / 360 == pytest.approx(numbers["test/ece"], abs=1e-6)
        assert f"calibration error {100 * numbers['test/ece']:.2f} %" in shown


def test_pictures_are_drawn_unless_the_run_has_none(run: Run) -> None:
    assert run("fit", *SMALL) == 0
    assert run("test", "runs/default/0", "last", "--recorder.pictures", "true") == 0
    folder = Path("runs/default/0/test/last")
    assert _files(folder) == TABLES | PICTURES
    for name in PICTURES:
        assert np.asarray(Image.open(folder / name)).std() > 10
    (folder / "other").mkdir()  # as an earlier test of a further set leaves it
    (folder / "other/classes.csv").write_text("old")
    assert run("test", "runs/default/0", "last") == 0
    assert _files(folder) == TABLES


def test_weights_from_elsewhere_have_a_folder_of_their_own(run: Run) -> None:
    for _ in range(2):
        assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    assert run("test", "runs/default/0", "runs/default/1/checkpoints/last.ckpt") == 0
    assert _files(Path("runs/default/0/test/runs_default_1_checkpoints_last.ckpt")) == TABLES
    odd = Path("runs/default/0/checkpoints/...ckpt")  # whose stem is the folder above
    odd.write_bytes(odd.with_name("last.ckpt").read_bytes())
    assert run("test", "runs/default/0", str(odd)) == 0
    assert _files(Path("runs/default/0/test/weights")) == TABLES
    assert odd.exists()


def test_without_a_run_a_test_is_shown_and_nothing_is_written(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    config, checkpoint = "runs/default/0/config.yaml", "runs/default/0/checkpoints/last.ckpt"
    capsys.readouterr()
    assert run("test", "--config", config, "--ckpt_path", checkpoint) == 0
    shown = capsys.readouterr().out
    assert "class   n  precision  recall" in shown
    assert "files" not in shown
    assert "test" not in json.loads(Path("runs/default/0/result.json").read_text())
    assert not Path("runs/default/0/test").exists()
