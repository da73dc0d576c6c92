"""A grid of runs: each is done once, whatever is killed, and the ledger is the same as if nothing had been."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noisy_lightning.cli import sweep
from noisy_lightning.experiments.ledger import read_ledger
from noisy_lightning.experiments.sweep_folder import SweepFolder
from noisy_lightning.jobs import processes
from noisy_lightning.runs.files import replacing
from noisy_lightning.runs.records import load
from tests.conftest import SMALL
from tests.processes import ROOT, forked

BASE = """
seed_everything: 0
trainer: {max_epochs: 2, accelerator: cpu, devices: 1}
data: {class_path: Digits, init_args: {noise: {class_path: Symmetric, init_args: {rate: 0.4}}, batch_size: 256}}
model:
  backbone: {class_path: tests.networks.Random}
  optimizer: {class_path: SGD, init_args: {lr: 0.1, momentum: 0.9}}
recorder: {pictures: false}
"""
SWEEP = """
config: base.yaml
axes:
  model.loss: [CrossEntropy, MeanAbsoluteError]
seeds: [1, 2]
"""


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "START", "fork")


def _write(folder: Path, sweep: str = SWEEP) -> None:
    (folder / "base.yaml").write_text(BASE)
    (folder / "grid.yaml").write_text(sweep)


def _outcomes(ledger: Path) -> list[dict[str, Any]]:
    """Return what a ledger says of results, and not of time and memory."""
    changing = ("seconds", "images_per_second", "peak_memory_mib", "git_commit")
    return [{name: value for name, value in row.items() if name not in changing} for row in read_ledger(ledger)]


def test_a_grid_is_run_once_and_has_a_ledger(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    assert run("sweep", "--config", "grid.yaml", "--dry-run") == 0
    listing = capsys.readouterr().out
    assert listing.count("to do") == 4
    assert "4 runs of 8 epochs in runs/grid" in listing
    assert "4 runs of a network and method of which none is done here yet" in listing
    assert not Path("runs").exists()

    assert run("sweep", "--config", "grid.yaml", "--jobs", "2", "--trainer.limit_train_batches", "3") == 0
    out = capsys.readouterr().out
    assert "MeanAbsoluteError, seed 2: done, 4 of 4" in out or "MeanAbsoluteError, seed 1: done, 4 of 4" in out
    assert "next: noisy-lightning report runs/grid" in out
    rows = read_ledger(Path("runs/grid/ledger.csv"))
    assert [(row["axis_model.loss"], row["axis_seed"]) for row in rows] == [
        *(("CrossEntropy", "1"), ("CrossEntropy", "2"), ("MeanAbsoluteError", "1"), ("MeanAbsoluteError", "2"))
    ]
    first = rows[0]
    assert (first["seed"], first["data_seed"], first["loss"], first["status"]) == (1, 1, "CrossEntropy", "done")
    assert first["noise_hash"] != rows[1]["noise_hash"]
    result = json.loads(Path(first["run"], "result.json").read_text())
    assert first["acc_last"] == result["test"]["last"]["test/acc"]
    assert first["acc_chosen"] == result["test"]["best"]["test/acc"]
    with Path(first["run"], "metrics.csv").open(newline="") as file:
        curve = [float(line["test/acc"]) for line in csv.DictReader(file)]
    assert first["acc_best_oracle"] == max(curve)
    assert first["epoch_best_oracle"] == np.argmax(curve)
    assert first["acc_mean_last_10"] is None  # of two epochs there is no such mean
    assert first["acc_class_3"] == result["test"]["last"]["test/acc_class/3"]
    assert first["peak_memory_mib"] > 100
    assert 0.3 < first["rate_realised"] < 0.5

    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.ckpt")}
    assert run("sweep", "--config", "grid.yaml", "--trainer.limit_train_batches", "3") == 0
    assert before == {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*.ckpt")}
    assert "4 of 4 runs are done" in capsys.readouterr().out
    assert run("sweep", "--config", "grid.yaml", "--dry-run", "--trainer.limit_train_batches", "3") == 0
    assert capsys.readouterr().out.count(" done ") == 4


def test_a_terminal_shows_runs_epochs_and_time_left(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    only = ("--only", "model.loss=Cross*", "--trainer.limit_train_batches", "2")
    assert run("sweep", "--config", "grid.yaml", *only) == 0
    shown = capsys.readouterr().err
    assert re.search(r"0 of 2 runs done, 2 left .* left, CrossEntropy, seed 1: epoch 0/2", shown)
    assert re.search(r"1 of 2 runs done, 1 left .* left, CrossEntropy, seed 2: epoch 0/2", shown)
    assert re.search(r"2 of 2 runs done, 0 left +\|█+\| \d\d:\d\d gone, 00:00 left", shown)
    assert run("sweep", "--config", "grid.yaml", *only) == 0
    assert "2 of 2 runs done, 0 left" in capsys.readouterr().err


def test_a_part_of_a_grid_is_run_where_asked(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path)
    quick = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    only = ("--only", "model.loss=Mean*", "--shard", "2/2")
    assert run("sweep", "--config", "grid.yaml", "--name", "part", *only, *quick) == 0
    (row,) = read_ledger(Path("runs/part/ledger.csv"))
    assert (row["axis_model.loss"], row["axis_seed"], row["epochs"]) == ("MeanAbsoluteError", "2", 1)
    assert len(SweepFolder(Path("runs/part")).missing()) == 3
    # a job array may have more tasks than there are runs
    assert run("sweep", "--config", "grid.yaml", "--shard", "5/8", "--dry-run") == 0
    assert "0 runs of 0 epochs" in capsys.readouterr().out


def test_a_run_that_fails_is_recorded_and_the_others_go_on(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "config: base.yaml\naxes: {data.noise.rate: [1.5, 0.2]}\n")
    quick = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    assert run("sweep", "--config", "grid.yaml", *quick) == 1
    out = capsys.readouterr().out
    assert "1.5: failed, Symmetric: rate must be in [0, 1], got 1.5" in out
    assert "1 of 2 runs are done" in out
    failed, done = read_ledger(Path("runs/grid/ledger.csv"))
    assert (failed["status"], done["status"]) == ("failed", "done")
    assert failed["error"] == "Symmetric: rate must be in [0, 1], got 1.5"
    assert run("sweep", "--config", "grid.yaml", "--dry-run", *quick) == 0
    assert "failed" in capsys.readouterr().out


def test_the_error_of_a_run_is_text_whatever_file_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("cannot read caf\udce9.png")

    monkeypatch.setattr(sweep, "run_here", fail)
    folder = SweepFolder(tmp_path)
    folder.make()
    with pytest.raises(ValueError, match="cannot read"):
        sweep.complete(tmp_path, "a", [])
    assert folder.reason("a") == "cannot read caf .png"


def test_a_damaged_run_is_named_and_the_others_go_on(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "config: base.yaml\naxes: {data.noise.rate: [0.1, 0.2]}\n")
    quick = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    first = ("--only", "data.noise.rate=0.1")
    assert run("sweep", "--config", "grid.yaml", *quick, *first) == 0
    (row,) = read_ledger(Path("runs/grid/ledger.csv"))
    damaged = Path(row["run"], "result.json")
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:100])
    capsys.readouterr()
    assert run("sweep", "--config", "grid.yaml", *quick) == 1
    assert re.search(rf"0\.1: failed, .*{damaged} is (damaged|torn|no JSON)", capsys.readouterr().out)
    assert [row["status"] for row in read_ledger(Path("runs/grid/ledger.csv"))] == ["failed", "done"]
    assert damaged.read_bytes() == whole[:100]
    damaged.write_bytes(whole)
    assert run("sweep", "--config", "grid.yaml", *quick) == 0
    assert [row["status"] for row in read_ledger(Path("runs/grid/ledger.csv"))] == ["done", "done"]


def test_a_run_that_is_killed_is_recorded(run: Callable[..., int], tmp_path: Path) -> None:
    _write(tmp_path, "config: base.yaml\n")
    kill = ("--trainer.callbacks+=tests.kill.KillOnce",)
    os.environ |= {"KILL_AT": "1,1", "KILL_MARK": str(tmp_path / "killed")}
    try:
        assert run("sweep", "--config", "grid.yaml", *kill) == 1
        (row,) = read_ledger(Path("runs/grid/ledger.csv"))
        assert row["error"] == "ended by SIGKILL, perhaps because memory ran out"
        assert run("sweep", "--config", "grid.yaml", *kill) == 0
    finally:
        del os.environ["KILL_AT"], os.environ["KILL_MARK"]
    (row,) = read_ledger(Path("runs/grid/ledger.csv"))
    assert (row["status"], row["epochs"], row["error"]) == ("done", 2, None)
    (log,) = Path("runs/grid/logs").iterdir()
    assert "from its last checkpoint" in log.read_text()


def test_two_sweeps_do_not_run_the_same_run_twice(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "config: base.yaml\n")
    quick = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    folder = SweepFolder(Path("runs/grid"))
    folder.make()
    assert run("sweep", "--config", "grid.yaml", "--dry-run", *quick) == 0
    name = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("run-")).split()[0]
    with folder.held(name) as held:
        assert held
        assert run("sweep", "--config", "grid.yaml", *quick) == 0
    out = capsys.readouterr().out
    assert "another process is at it" in out
    assert "1 runs are unfinished" in out
    assert not (folder.path / name).exists()
    assert run("sweep", "--config", "grid.yaml", *quick) == 0
    assert folder.done(name)


def test_what_has_no_test_images_is_done_without(run: Callable[..., int], tmp_path: Path) -> None:
    _write(tmp_path, "config: base.yaml\n")
    folder = SweepFolder(Path("runs/grid"))
    for result, done in (
        ({"epochs": 2}, False),
        ({"epochs": 2, "test_set": True}, False),
        ({"epochs": 2, "test_set": False}, True),
        ({"epochs": 2, "test": {}}, True),
        ({"test": {}}, False),
    ):
        folder.run("a").path.mkdir(parents=True, exist_ok=True)
        folder.run("a").write_result(result)
        assert folder.done("a") is done


@pytest.mark.parametrize(
    ("sweep", "args", "message"),
    [
        (
            "config: base.yaml\naxes: {data.noise.rte: [0.1]}\n",
            (),
            "data.noise: Symmetric takes no 'rte'; did you",
        ),
        ("config: base.yaml\naxes: {model.los: [CrossEntropy]}\n", (), "CrossEntropy: unknown option --model.los"),
        (
            "config: base.yaml\naxes: {trainer.max_epochs: [many]}\n",
            (),
            "many: trainer.max_epochs must be a whole number, got many",
        ),
        ("config: base.yaml\naxes: {a: {x: {}, y: {}}}\n", (), "axes: y has the same configuration as x"),
        (SWEEP, ("--jobs", "0"), "jobs must be at least 1, got 0"),
        (SWEEP, ("--jobs", "two"), "jobs must be a whole number, got two"),
        (SWEEP, ("--executor", "ray"), "executor must be one of processes, local, slurm, got ray"),
        (SWEEP, ("--only", "loss=CE"), "'loss=CE' is no axis=pattern"),
        (SWEEP, ("--dry-rum",), "unknown option --dry-rum"),
        (SWEEP, ("--name", "a/b"), "name must be a name, not a path, got 'a/b'"),
        (SWEEP, ("--root", "grid.yaml"), "root: cannot write to grid.yaml/grid: Not a directory"),
        (SWEEP, ("--executor", "local", "--submitit", "timeout"), "submitit: 'timeout' is no KEY=VALUE"),
        (SWEEP, ("--executor", "local", "--submitit", "timeot_min=3"), "submitit: "),
    ],
)
def test_what_cannot_work_is_one_line(
    sweep: str,
    args: tuple[str, ...],
    message: str,
    run: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _write(tmp_path, sweep)
    assert run("sweep", "--config", "grid.yaml", *args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(Path().glob("runs/grid/*/config.yaml"))


def test_a_full_disk_is_named_and_loses_nothing(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "config: base.yaml\n")
    quick = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")

    def full(path: Path) -> Any:
        if path.name == "ledger.csv":
            raise OSError(28, "No space left on device")
        return replacing(path)

    monkeypatch.setattr("noisy_lightning.experiments.ledger.replacing", full)
    assert run("sweep", "--config", "grid.yaml", *quick) == 1
    assert "error: No space left on device; what runs/grid holds is kept" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr(processes, "START", "fork")
    monkeypatch.chdir(tmp_path)
    assert run("sweep", "--config", "grid.yaml", *quick) == 0
    assert len(read_ledger(Path("runs/grid/ledger.csv"))) == 1


def _sweeping(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "noisy_lightning", "sweep", "--config", "grid.yaml", "--jobs", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PL_GLOBAL_SEED", None)
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _in_training(sweep: Path) -> bool:
    """Return whether a run has begun and not ended."""
    checkpoints = sweep.glob("*/checkpoints/last.ckpt")
    return any(not (path.parents[1] / "result.json").exists() for path in checkpoints)


@pytest.mark.slow
def test_a_sweep_killed_three_times_ends_with_the_same_ledger(tmp_path: Path) -> None:
    grid = "config: base.yaml\naxes:\n  model.loss: [CrossEntropy, MeanAbsoluteError, SymmetricCrossEntropy]\n"
    grid += "  data.noise.rate: [0.2, 0.5]\nseeds: [1, 2]\n"
    base = BASE.replace("max_epochs: 2", "max_epochs: 40")
    folders = [tmp_path / "quiet", tmp_path / "killed"]
    for folder in folders:
        folder.mkdir()
        _write(folder, grid)
        (folder / "base.yaml").write_text(base)
    assert _sweeping(folders[0]).wait() == 0
    random = np.random.default_rng(os.getpid())
    for _ in range(3):
        with _sweeping(folders[1]) as process:
            while not _in_training(folders[1] / "runs/grid"):
                assert process.poll() is None, "it was over before it was killed"
                time.sleep(0.05)
            time.sleep(2 * random.random())
            process.send_signal(signal.SIGKILL)
    assert _sweeping(folders[1]).wait() == 0
    expected, got = (_outcomes(folder / "runs/grid/ledger.csv") for folder in folders)
    assert len(expected) == 12
    assert expected == got
    logs = "".join(path.read_text() for path in (folders[1] / "runs/grid/logs").iterdir())
    assert "from its last checkpoint" in logs


def test_a_job_of_submitit_comes_to_the_same(tmp_path: Path) -> None:
    _write(tmp_path, "config: base.yaml\n")
    quick = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2")
    for name, executor in (("here", "processes"), ("job", "local")):
        options = ("--config", "grid.yaml", "--name", name, "--executor", executor, *quick)
        done = forked("sweep", *options, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (here,), (job,) = (_outcomes(tmp_path / f"runs/{name}/ledger.csv") for name in ("here", "job"))
    assert Path(here.pop("run")).name == Path(job.pop("run")).name
    assert here == job


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    _write(tmp_path, SWEEP)
    (tmp_path / "base.yaml").write_text(BASE.replace("max_epochs: 2", "max_epochs: 500"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PL_GLOBAL_SEED", None)
    command = [sys.executable, "-m", "noisy_lightning", "sweep", "--config", "grid.yaml"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        while not list(tmp_path.glob("runs/grid/*/checkpoints/last.ckpt")):
            assert process.poll() is None
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, error = process.communicate()
    assert process.returncode == 130
    assert "interrupted: the same command continues runs/grid" in error.decode()


def test_fit_alone_and_a_sweep_of_it_train_the_same(run: Callable[..., int], tmp_path: Path) -> None:
    _write(tmp_path, "config: base.yaml\n")
    assert run("fit", *SMALL, "--run.version", "alone", "--config", "base.yaml") == 0
    assert run("sweep", "--config", "grid.yaml") == 0
    (row,) = read_ledger(Path("runs/grid/ledger.csv"))
    alone = json.loads(Path("runs/base/alone/result.json").read_text())
    swept = json.loads(Path(row["run"], "result.json").read_text())
    for name, value in alone["last_epoch"].items():
        assert swept["last_epoch"][name] == value


def test_labels_are_selected_before_they_are_trained_on(run: Callable[..., int], tmp_path: Path) -> None:
    _write(tmp_path)
    selector = "selector: {class_path: NoisyCrossValidation, init_args: {epochs: 1}}\n"
    (tmp_path / "clean.yaml").write_text(BASE + selector)
    grid = "config: base.yaml\naxes: {method: {all: {}, selected: {clean: clean.yaml}}}\nseeds: [1, 2]\n"
    (tmp_path / "grid.yaml").write_text(grid)
    quick = ("--trainer.max_epochs", "1", "--data.noise.rate", "0.3")
    assert run("sweep", "--config", "grid.yaml", *quick) == 0
    rows = read_ledger(Path("runs/grid/ledger.csv"))
    assert [row["axis_method"] for row in rows] == ["all", "all", "selected", "selected"]
    assert rows[0]["noise_hash"] == rows[2]["noise_hash"] != rows[1]["noise_hash"] == rows[3]["noise_hash"]
    selections = sorted(Path("runs/grid/selections").iterdir())
    assert len(selections) == 2
    for row, selection in zip(rows[2:], selections, strict=True):
        trained = (load(row["run"]).prediction[0] >= 0).sum()
        selected = json.loads((selection / "result.json").read_text())["selected"]
        assert 0 < trained <= selected < 1437
    assert run("report", "runs/grid", "--only-print") == 0


@pytest.mark.parametrize(
    ("options", "count", "message"),
    [
        (("--devices", "0,1"), 0, "devices: 0 is no GPU of this machine; there is none"),
        (("--devices", "GPU-4711"), 0, "devices: GPU-4711 is no GPU of this machine; there is none"),
        (("--devices", "0,1"), 1, "devices: 1 is no GPU of this machine; there is 0 alone"),
        (("--devices", "0,2"), 2, "devices: 2 is no GPU of this machine; there are 0 to 1"),
        (("--devices", "0,"), 2, "devices must be numbers of GPUs, such as 0,1, got 0,"),
        (("--devices", "0", "--executor", "slurm"), 2, "devices: executor slurm has its GPUs from --submitit"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(
    options: tuple[str, ...],
    count: int,
    message: str,
    run: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    _write(tmp_path)
    assert run("sweep", "--config", "grid.yaml", *options) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_run_whose_time_was_up_is_neither_done_nor_failed(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, "config: base.yaml\n")
    command = ("sweep", "--config", "grid.yaml", "--trainer.limit_train_batches", "2", "--trainer.max_time")
    assert run(*command, "00:00:00:00") == 0
    out = capsys.readouterr().out
    assert "unfinished, since trainer.max_time is over" in out
    assert "0 of 1 runs are done" in out
    assert "1 runs are unfinished" in out
    while "1 of 1 runs are done" not in out:  # a batch each time
        assert run(*command, "00:00:00:00") == 0
        out = capsys.readouterr().out
    (row,) = read_ledger(Path("runs/grid/ledger.csv"))
    assert (row["status"], row["epochs"]) == ("done", 2)
