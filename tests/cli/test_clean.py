"""noisy-lightning clean, from the command line to the files it leaves."""

import csv
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from noisy_lightning.data import Digits, Symmetric
from noisy_lightning.data.selection import read_selection
from noisy_lightning.data.sets.sources import load_digits8x8
from noisy_lightning.errors import InputError
from noisy_lightning.runs.records import load
from noisy_lightning.selectors import Selector
from noisy_lightning.selectors.base import Judgment, Task, TrainingRuns
from tests.conftest import SMALL
from tests.processes import ROOT, noisy_lightning

CROSS = (*SMALL, "--selector", "NoisyCrossValidation")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes that train folds find the tests' networks."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Noting(Selector):
    """Notes what it is asked to judge, and stops there."""

    asked: ClassVar[list[Task]] = []

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        Noting.asked.append(task)
        raise InputError("noted")


def test_a_selector_learns_of_seed_classes_and_broken_images(run: Callable[..., int], tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"images/train/{'cat' if number % 2 else 'dog'}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    path.write_bytes(b"no image")
    Noting.asked.clear()
    data = ("--data", "ImageFolder", "--data.root", "images", "--data.image_size", "8", "--data.channels", "1")
    network = ("--model.backbone", "tests.networks.Plain", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1")
    options = ("--data.broken", "skip", "--data.seed", "5", "--data.batch_size", "4", "--trainer.accelerator", "cpu")
    with pytest.warns(UserWarning, match="1 of 20 images are broken"):
        assert run("clean", *data, *options, *network, "--selector", f"{__name__}.Noting") == 2
    (task,) = Noting.asked
    assert (task.seed, task.num_classes, task.class_names) == (5, 2, ["cat", "dog"])
    assert np.flatnonzero(~task.judged).tolist() == [5]  # 19.png, by name the sixth of the first class


def test_it_leaves_a_selection_a_page_and_a_result(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("clean", *CROSS, "--trainer.max_epochs", "8") == 0
    folder = tmp_path / "runs/default/0"
    printed = capsys.readouterr().out
    assert "labels selected" in printed
    assert "most suspicious labels are wrong" in printed
    rows = _rows(folder / "selection.csv")
    assert list(rows[0]) == [
        *("index", "path", "y", "y_noisy", "select", "candidate", "score", "suggested_label", "eval_ratio"),
        "oracle",
    ]
    result = json.loads((folder / "result.json").read_text())
    assert [int(row["index"]) for row in rows] == list(range(1437))
    assert result["selected"] == sum(int(row["select"]) for row in rows)
    agreeing = [row for row in rows if row["select"] == "1"]
    right = sum(row["y"] == row["y_noisy"] for row in agreeing)
    assert result["label_precision"] == pytest.approx(right / len(agreeing))
    assert result["label_precision"] > 0.75 > 1 - result["noise"]["realised_rate"]
    assert all(row["suggested_label"] not in ("", row["y_noisy"]) for row in rows if row["select"] == "0")
    assert result["auroc"] > 0.7
    assert float(rows[0]["eval_ratio"]) == pytest.approx(result["estimated_noise_rate"], rel=1e-5)
    check = result["self_check"]
    agreement = result["cross_validation"]["measured"]["accuracy"]
    assert check["accuracy_given"] == pytest.approx(agreement)
    assert f"{100 * agreement:.2f} % of held-out labels predicted, which fits" in printed
    assert check["too_weak"] == any("too weak for a selection" in warning for warning in result["warnings"])
    assert set(result["cross_validation"]) == {"measured", "theory", "theory_of_predictions"}
    for name in ("accuracy", "label_precision", "label_recall"):
        numbers = {kind: values[name] for kind, values in result["cross_validation"].items()}
        assert numbers["theory_of_predictions"] == pytest.approx(numbers["measured"], abs=0.05)
    for name in ("suspects.html", "noise.csv", "suspects.png", "theory_and_experiment.png"):
        assert (folder / name).stat().st_size > 1000
    assert load(folder / "folds/fold_1").loss.shape == (8, 1437)

    selected = read_selection(folder / "selection.csv", _digits().labels).select
    assert run("fit", *SMALL, "--data.selection", str(folder / "selection.csv"), "--run.experiment", "after") == 0
    seen = ~np.isnan(load(tmp_path / "runs/after/0").loss[0])
    assert not (seen & ~selected.numpy()).any()
    wrong = ("--data.selection", str(folder / "selection.csv"), "--data.seed", "3")
    assert run("fit", *SMALL, *wrong) == 2
    assert "was made for other labels" in capsys.readouterr().err


def test_a_weak_network_is_said_to_be_too_weak_and_the_ranking_can_be_cut(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weak = ("--data.noise.rate", "0.02", "--model.optimizer.lr", "0.001", "--selector", "AreaUnderMargin")
    assert run("clean", *SMALL, *weak, "--drop", "30") == 0
    folder = tmp_path / "runs/default/0"
    result = json.loads((folder / "result.json").read_text())
    assert result["self_check"]["too_weak"]
    assert "the network is too weak for a selection; use the ranking" in result["warnings"][-1]
    assert "warning     the network is too weak for a selection" in capsys.readouterr().out
    rows = _rows(folder / "selection.csv")
    assert result["selected"] == 1437 - 30 == sum(row["select"] == "1" for row in rows)
    dropped = [float(row["score"]) for row in rows if row["select"] == "0"]
    assert min(dropped) >= max(float(row["score"]) for row in rows if row["select"] == "1")


def _digits() -> Digits:
    data = Digits(noise=Symmetric(0.4))
    data.setup()
    return data


def test_a_run_is_tested_without_its_selection_and_its_configuration_judges_labels(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = ("--selector", "LossMixture", "--run.experiment", "one")
    assert run("clean", *SMALL, *one, "--trainer.limit_train_batches", "0.5", "--trainer.max_epochs", "1") == 0
    assert "samples were never trained on and are not judged" in capsys.readouterr().out
    selection = tmp_path / "runs/one/0/selection.csv"
    assert run("fit", *SMALL, "--data.selection", str(selection)) == 0
    selection.rename(tmp_path / "elsewhere.csv")
    folder = tmp_path / "runs/default/0"
    for command in ("test", "predict"):
        assert run(command, str(folder), "last") == 0
    assert run("test", str(selection.parent)) == 2
    assert "one/0 is a selection, whose runs are in" in capsys.readouterr().err
    again = (
        "clean",
        "--config",
        str(folder / "config.yaml"),
        "--data.selection",
        "null",
        *one,
        "--run.version",
        "again",
    )
    steps = ("--run.checkpoint_every_n_steps", "2")
    assert run(*again, *steps) == 0
    assert "checkpoint_every_n_steps: 2" in (tmp_path / "runs/one/again/folds/all_labels/config.yaml").read_text()
    assert run(*again) == 2
    assert capsys.readouterr().err.strip().endswith("runs/one/again has finished; choose another run.version")


@pytest.mark.slow
def test_folds_train_on_two_devices(tmp_path: Path) -> None:
    two = ("--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.limit_predict_batches", "2")
    done = noisy_lightning("clean", *CROSS, *two, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(row["score"] for row in _rows(tmp_path / "runs/default/0/selection.csv"))


def test_the_whole_of_study_3_is_two_commands(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("clean", *SMALL, "--selector", "INCV", "--selector.iterations", "2", "--jobs", "2") == 0
    folder = tmp_path / "runs/default/0"
    result = json.loads((folder / "result.json").read_text())
    assert len(result["iterations"]) == 2
    assert result["iterations"][0]["selected"] <= result["iterations"][1]["selected"]
    assert "cross_validation" not in result
    assert (folder / "label_precision_and_recall.png").exists()
    assert (folder / "folds/iteration_1_first.log").read_text()
    command = (*SMALL, "--data.selection", str(folder / "selection.csv"), "--model.method", "INCVCoTeaching")
    assert run("fit", *command, "--model.method.candidates_from", "1", "--run.experiment", "after") == 0
    records = load(tmp_path / "runs/after/0")
    rows = _rows(folder / "selection.csv")
    used = np.array([row["select"] == "1" or row["candidate"] == "1" for row in rows])
    assert (used >= (records.prediction[0] >= 0)).all()
    assert (records.prediction[0][used & (records.split == "train")] >= 0).all()
    assert not json.loads((tmp_path / "runs/after/0/result.json").read_text())["oracle"]


def test_what_an_oracle_selected_marks_the_run_on_it(run: Callable[..., int], tmp_path: Path) -> None:
    told = ("--selector", "INCV", "--selector.iterations", "1", "--selector.epochs", "1", "--selector.pattern", "pair")
    assert run("clean", *SMALL, *told) == 0
    moved = tmp_path / "moved.csv"
    (tmp_path / "runs/default/0/selection.csv").rename(moved)
    assert {row["oracle"] for row in _rows(moved)} == {"1"}
    assert run("fit", *SMALL, "--data.selection", str(moved), "--run.experiment", "after") == 0
    assert json.loads((tmp_path / "runs/after/0/result.json").read_text())["oracle"]
    board = EventAccumulator(str(tmp_path / "runs/after/0"), size_guidance={"tensors": 0}).Reload()
    assert "oracle/text_summary" in board.Tags()["tensors"]


def test_an_interrupted_selection_goes_on_and_ends_the_same(run: Callable[..., int], tmp_path: Path) -> None:
    words = ("clean", *CROSS, "--trainer.max_epochs", "3", "--run.version")
    command = [sys.executable, "-m", "noisy_lightning", *words, "killed"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    killed, whole = (tmp_path / "runs/default" / name for name in ("killed", "whole"))
    wait_for((killed / "folds/fold_2/records/epoch_0000.npz").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first = (killed / "folds/fold_1/result.json").stat().st_mtime_ns
    assert not (killed / "selection.csv").exists()
    wait_for(lambda: _is_free(killed / "folds/fold_2/.lock"))  # its process notices that it is alone
    assert run(*words, "killed") == 0
    assert run(*words, "whole") == 0
    assert (killed / "folds/fold_1/result.json").stat().st_mtime_ns == first
    assert (killed / "selection.csv").read_text() == (whole / "selection.csv").read_text()


def test_ctrl_c_says_how_to_go_on_where_errors_are_said(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Digits, "load", interrupt)
    with pytest.raises(SystemExit) as ended:
        run("clean", *CROSS)
    assert ended.value.code == 130
    printed = capsys.readouterr()
    assert printed.err == "interrupted: the same command continues runs/default/0\n"
    assert not printed.out


def wait_for(ready: Callable[[], bool]) -> None:
    while not ready():
        time.sleep(0.02)


def _is_free(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_own_images_are_judged_reviewed_and_corrected(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Digits as files, ten of them in the wrong folder; one that is broken, one that is known to be right."""
    source = load_digits8x8(train=True)
    lines = ["path,label,trusted"]
    for i in range(300):
        name, label = f"{i:03}.png", int(source.labels[i])
        Image.fromarray(source.images[i, :, :, 0].numpy()).save(tmp_path / name)  # type: ignore[index]
        lines.append(f"{name},{(label + 1) % 10 if i < 10 else label},{int(i == 20)}")
    (tmp_path / "299.png").write_bytes(b"no image")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    data: tuple[str, ...] = (
        "--data",
        "ImageTable",
        "--data.csv",
        str(tmp_path / "table.csv"),
        "--data.image_size",
        "8",
    )
    data = (*data, "--data.channels", "1", "--data.broken", "skip")
    options: tuple[str, ...] = (
        "--model.optimizer",
        "SGD",
        "--model.optimizer.lr",
        "0.1",
        "--model.backbone",
        "tests.networks.Plain",
    )
    options = (*options, "--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.max_epochs", "30")
    with pytest.warns(UserWarning, match="1 of 300 images are broken"):
        assert run("clean", *data, *options, "--data.batch_size", "32", "--selector", "NoisyCrossValidation") == 0
    folder = tmp_path / "runs/default/0"
    rows = _rows(folder / "selection.csv")
    assert rows[0]["path"] == "000.png"
    assert rows[0]["y"] == ""
    assert rows[299]["score"] == rows[20]["score"] == ""
    assert rows[299]["select"] == "0"
    assert rows[20]["select"] == "1"
    suspects = sorted(rows, key=lambda row: -float(row["score"] or -1))[:40]
    assert sum(int(row["index"]) < 10 for row in suspects) >= 5
    assert "an unknown share of labels wrong" in capsys.readouterr().out
    assert "label_precision" not in json.loads((folder / "result.json").read_text())

    verdicts = ["index,given_label,previous_label,verdict,path"]
    for i, row in enumerate(rows):
        corrected = int(source.labels[i]) if i < 10 else int(row["y_noisy"])
        verdicts.append(f"{i},{corrected},{row['y_noisy']},{'changed' if i < 10 else ''},{row['path']}")
    (tmp_path / "verdicts.csv").write_text("\n".join(verdicts) + "\n")
    noise = ("--data.noise", "LabelFile", "--data.noise.path", str(tmp_path / "verdicts.csv"))
    with pytest.warns(UserWarning, match="1 of 300 images are broken"):
        assert run("fit", *data, *options, *noise, "--trainer.max_epochs", "1", "--run.experiment", "after") == 0
    after = load(tmp_path / "runs/after/0")
    assert after.labels[:10].tolist() == source.labels[:10].tolist()
    assert (after.true_labels == -1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--selector", "INVC"), "INCV"),
        (("--selector", "INCV", "--selector.iterations", "0"), "iterations must be in [1, inf), got 0"),
        (("--selector", "INCV", "--trainer.fast_dev_run", "true"), "trainer.fast_dev_run leaves no run to judge by"),
        (("--selector", "INCV", "--run.root", "/dev/null/runs"), "run.root: cannot make the folder /dev/null/runs"),
        (("--selector", "INCV", "--jobs", "0"), "jobs must be at least 1, got 0"),
        (("--selector", "INCV", "--run.extend", "true"), "run.extend must be false"),
        (("--selector", "INCV", "--drop", "0"), "drop must be a share in (0, 1) or a whole number of labels, got 0"),
        (
            ("--selector", "INCV", "--drop", "1.5"),
            "drop must be a share in (0, 1) or a whole number of labels, got 1.5",
        ),
        (("--selector", "INCV", "--drop", "-3"), "drop must be a share in (0, 1) or a whole number of labels, got -3"),
        (("--selector", "INCV", "--drop", "1438"), "drop must be at most 1437, the number of labels, got 1438"),
        (("--selector", "INCV", "--data.selection", "s.csv"), "data.selection must be left out"),
        (("--selector", "INCV", "--data.redraw", "per_epoch"), "data.redraw must be once"),
        (("--selector", "INCV", "--selector.inversion", "no.csv"), "matrix: cannot read no.csv"),
        ((), "selector"),
    ],
)
def test_what_cannot_work_is_said_in_one_line_and_leaves_nothing(
    options: tuple[str, ...], message: str, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("clean", *SMALL, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("*.csv"))


def test_a_run_that_fails_is_named(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("clean", *CROSS, "--model.optimizer.lr", "-1", "--jobs", "2") == 2
    error = capsys.readouterr().err
    fold = re.fullmatch(r"error: training (fold_[12]) failed with exit code 2: see (\S+)\n", error)
    assert fold, error
    log = tmp_path / fold[2]
    assert log.name == f"{fold[1]}.log"
    assert "model.optimizer: Invalid learning rate: -1" in log.read_text()


def test_nothing_is_judged_by_a_run_whose_time_was_up(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("clean", *CROSS, "--trainer.max_time", "00:00:00:00") == 2
    assert "trainer.max_time is over for fold_1: the same command continues it" in capsys.readouterr().err
    assert not Path("runs/default/0/selection.csv").exists()
