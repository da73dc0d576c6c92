"""Runs that are made longer, that had nothing left to train, or whose disk was full or had no locks."""

import csv
import errno
import io
import json
import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from noisy_lightning.runs import locks
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.records import load
from noisy_lightning.training.callbacks.run_summary import RunSummary
from tests.conftest import SMALL
from tests.kill import Fall

Run = Callable[..., int]
STEP_LR = ("--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "2", "--model.optimizer.momentum", "0.9")
PLATEAU: tuple[str, ...] = (
    "--model.lr_scheduler",
    "lightning.pytorch.cli.ReduceLROnPlateau",
    "--model.lr_scheduler.monitor",
    "val/loss",
)
PLATEAU += ("--model.lr_scheduler.patience", "0", "--model.lr_scheduler.threshold", "0.5")
COSINE = ("--model.lr_scheduler", "CosineAnnealingLR", "--model.lr_scheduler.T_max", "0")
ONE_CYCLE = (
    *("--model.lr_scheduler", "OneCycleLR", "--model.lr_scheduler.max_lr", "0.1"),
    *("--model.optimizer.momentum", "0.9"),
)
WARMUP_COSINE = ("--model.lr_scheduler", "WarmupCosine")
WARM_UP = (
    *("--model.lr_scheduler", "SequentialLR", "--model.lr_scheduler.milestones", "[1]"),
    "--model.lr_scheduler.schedulers",
    "[{class_path: LinearLR, init_args: {total_iters: 1}}, {class_path: CosineAnnealingLR, init_args: {T_max: 0}}]",
)


def _rates(run: str) -> list[float]:
    with Path("runs", run, "metrics.csv").open(newline="") as file:
        return [float(row["lr"]) for row in csv.DictReader(file)]


def _assert_same(one: Path, other: Path) -> None:
    assert (one / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    np.testing.assert_array_equal(load(one).loss, load(other).loss)
    states = [torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (one, other)]
    assert all(torch.equal(value, states[1]["state_dict"][name]) for name, value in states[0]["state_dict"].items())
    results = [json.loads((run / "result.json").read_text()) for run in (one, other)]
    for name in ("epochs", "last_epoch", "best_epoch"):
        assert results[0][name] == results[1][name]


@pytest.mark.parametrize("options", [(), STEP_LR, PLATEAU], ids=["constant", "steps", "plateau"])
def test_a_finished_run_made_longer_is_what_it_would_have_been_from_the_start(
    options: tuple[str, ...], run: Run
) -> None:
    assert run("fit", *SMALL, *options) == 0
    assert run("test", "runs/default/0") == 0
    assert run("fit", *SMALL, *options, "--trainer.max_epochs", "5", "--run.extend", "true") == 0
    assert run("fit", *SMALL, *options, "--trainer.max_epochs", "5", "--run.experiment", "whole") == 0
    longer = Path("runs/default/0")
    assert not Path("runs/default/1").exists()
    _assert_same(longer, Path("runs/whole/0"))
    assert yaml.safe_load((longer / "config.yaml").read_text())["trainer"]["max_epochs"] == 5
    assert "last" not in json.loads((longer / "result.json").read_text()).get("test", {})  # that of two epochs


def test_a_kill_while_a_run_is_made_longer_loses_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    small = (*SMALL, "--trainer.callbacks+=tests.kill.Fall")
    assert run("fit", *small) == 0
    longer = ("fit", *small, "--trainer.max_epochs", "3", "--run.extend", "true")

    def fall(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr("noisy_lightning.training.callbacks.extension.write_text", fall)  # no configuration says so yet
        with pytest.raises(ZeroDivisionError):
            run(*longer)
    Fall.at = (2, 0)  # and after
    with pytest.raises(ZeroDivisionError):
        run(*longer)
    assert run(*longer) == 0
    assert run("fit", *SMALL, "--trainer.max_epochs", "3", "--run.experiment", "whole") == 0
    _assert_same(Path("runs/default/0"), Path("runs/whole/0"))


@pytest.mark.parametrize("damaged", ["checkpoints/last.ckpt", "metrics.csv"])
def test_a_run_that_cannot_be_made_longer_stays_as_it_was(
    damaged: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    file = Path("runs/default/0", damaged)
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    assert run("fit", *SMALL, "--run.extend", "true") == 2
    assert f"{file} is damaged" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (COSINE, "model.lr_scheduler spans the whole run (T_max 0), so that its learning rates were others"),
        (ONE_CYCLE, "model.lr_scheduler spans the whole run (OneCycleLR without total_steps), so that its"),
        (WARMUP_COSINE, "model.lr_scheduler spans the whole run (WarmupCosine), so that its learning rates were"),
        (WARM_UP, "model.lr_scheduler spans the whole run (T_max 0), so that its learning rates were others"),
        (("--model.method", "ForwardCorrection"), "model.method ForwardCorrection divides the run into parts"),
    ],
)
def test_a_run_that_would_have_been_another_one_is_not_made_longer(
    options: tuple[str, ...], reason: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, *options) == 0
    before = {path: path.read_bytes() for path in Path("runs").rglob("*.*") if path.is_file()}
    assert run("fit", *SMALL, *options, "--trainer.max_epochs", "4", "--run.extend", "true") == 2
    error = capsys.readouterr().err
    assert "run.extend: runs/default/0 would not be what 4 epochs from the start are" in error
    assert reason in error
    assert "--ckpt_path runs/default/0/checkpoints/last.ckpt" in error
    assert {path: path.read_bytes() for path in before} == before
    assert RunFolder(Path("runs/default/0")).lock()  # given up


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "in runs/default is no run of this configuration with fewer trainer.max_epochs"),
        (("--trainer.max_epochs", "1"), "in runs/default is no run"),
        (("--trainer.max_epochs", "4", "--model.optimizer.lr", "0.2"), "in runs/default is no run"),
        (("--trainer.max_epochs", "4", "--run.version", "7"), "in runs/default/7 is no run"),
        (("--trainer.max_epochs", "4"), "runs/default/0 ended by itself after 1 of 2 epochs"),
    ],
)
def test_what_cannot_be_made_longer_is_said(
    options: tuple[str, ...], message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    if "by itself" in message:
        result = json.loads(Path("runs/default/0/result.json").read_text())
        Path("runs/default/0/result.json").write_text(json.dumps(result | {"epochs": 1}))
    assert run("fit", *SMALL, *options, "--run.extend", "true") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        (COSINE, [0.1, 0.05]),
        (WARM_UP, [0.1 / 3, 0.1]),
        (ONE_CYCLE, [0.0812, 4e-7]),
        (WARMUP_COSINE, [0.1 * 6 / 7, 0.0067]),
    ],
)
def test_a_schedule_follows_the_epochs_of_a_run_that_begins_with_a_checkpoint(
    options: tuple[str, ...], rates: list[float], run: Run
) -> None:
    assert run("fit", *SMALL, *options) == 0
    checkpoint = ("--ckpt_path", "runs/default/0/checkpoints/last.ckpt")
    assert run("fit", *SMALL, *options, "--trainer.max_epochs", "4", *checkpoint) == 0
    assert run("fit", *SMALL, *options, "--trainer.max_epochs", "4", "--run.experiment", "whole") == 0
    assert _rates("default/0") == pytest.approx(rates, rel=0.05)
    assert _rates("default/1") == pytest.approx(_rates("whole/0")[2:])


def test_one_cycle_that_a_checkpoint_of_more_steps_would_end_too_early_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, *ONE_CYCLE, "--data.batch_size", "128") == 0
    begun = (*SMALL, *ONE_CYCLE, "--trainer.max_epochs", "4", "--ckpt_path", "runs/default/0/checkpoints/last.ckpt")
    assert run("fit", *begun) == 2
    message = "OneCycleLR is over after 24 steps and has to last 34, of which the checkpoint has 22: set its total_"
    assert message in capsys.readouterr().err
    assert run("fit", *begun, "--model.lr_scheduler.total_steps", "34", "--run.version", "longer") == 0
    assert _rates("default/longer")[-1] < 1e-4


def test_a_warm_up_and_a_cosine_that_a_checkpoint_of_more_steps_would_end_too_early_are_refused(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, *WARMUP_COSINE, "--data.batch_size", "128") == 0
    begun = (*SMALL, *WARMUP_COSINE, "--trainer.max_epochs", "4")
    assert run("fit", *begun, "--ckpt_path", "runs/default/0/checkpoints/last.ckpt") == 2
    message = (
        "WarmupCosine is over after 24 steps and has to last 34, of which the checkpoint has 22: take the batch size"
    )
    assert message in capsys.readouterr().err


def test_a_run_killed_after_its_last_epoch_is_finished_by_the_same_command(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("fit", *SMALL, "--run.experiment", "whole") == 0

    def fall(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(RunSummary, "write", fall)
        with pytest.raises(ZeroDivisionError):
            run("fit", *SMALL)
    assert not Path("runs/default/0/result.json").exists()
    assert run("fit", *SMALL) == 0
    assert not Path("runs/default/1").exists()
    _assert_same(Path("runs/default/0"), Path("runs/whole/0"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("name", "time"),
    [
        *[("config.yaml", 1), ("epoch_0001.npz", 1), ("metrics.csv", 2), ("last.ckpt", 2), ("result.json", 1)],
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in ("noise.csv", "noise.json", "epoch_0000.npz")),
        *(pytest.param(name, 1, marks=pytest.mark.slow) for name in ("metrics.csv", "best.ckpt")),
    ],
)
def test_a_full_disk_ends_a_run_in_one_line_and_the_same_command_ends_it_as_if_nothing_had_happened(
    name: str,
    time: int,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    opened, written = io.open, []

    def full(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if "w" in mode and isinstance(file, str | os.PathLike) and Path(file).name.startswith((name, f".{name}.")):
            written.append(file)
            if len(written) == time:
                Path(file).touch()
                return opened("/dev/full", mode, *args, **options)
        return opened(file, mode, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(io, "open", full)
        assert run("fit", *SMALL) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("epoch ")]
    assert re.match(rf"error: .*{re.escape(name)}\S*: {os.strerror(errno.ENOSPC)}", line)
    assert not list(tmp_path.rglob(".*.part"))
    assert run("fit", *SMALL) == 0
    assert run("fit", *SMALL, "--run.experiment", "whole") == 0
    assert [path.name for path in Path("runs/default").iterdir()] == ["0"]
    _assert_same(Path("runs/default/0"), Path("runs/whole/0"))
    for other in ("noise.csv", "noise.json"):
        assert Path("runs/default/0", other).read_text() == Path("runs/whole/0", other).read_text()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK])
def test_a_run_needs_no_locks_of_the_file_system(
    code: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    locks._say.cache_clear()
    monkeypatch.setattr("fcntl.flock", refuse)
    command = ("fit", *SMALL, "--trainer.callbacks+=tests.kill.Fall")
    monkeypatch.setattr(Fall, "at", (1, 1))
    with pytest.raises(ZeroDivisionError):
        run(*command)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "locks" in line]
    assert line.startswith(f"this file system has no locks ({os.strerror(code)})")
    assert run(*command) == 0
    assert run("test", "runs/default/0") == 0
    assert "locks" not in capsys.readouterr().err
    assert json.loads(Path("runs/default/0/result.json").read_text())["test"].keys() == {"best", "last"}
    assert not list(tmp_path.rglob("*.owner"))


def test_fit_says_that_a_method_is_set_for_a_longer_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", [])  # those of the tests, which a command line has not
        assert run("fit", *SMALL, "--model.method", "MentorNet") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("MentorNet")]
    assert line == (
        "MentorNet is set for a longer run than this one of 2 epochs: model.method.dropout needs 100 epochs to take "
        "full effect"
    )
