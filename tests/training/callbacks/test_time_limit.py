"""A run whose time is up is unfinished, and its command goes on with it as if it had not stopped."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Timer

from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.records import load
from noisy_lightning.training.callbacks import time_limit
from tests.conftest import SMALL

Run = Callable[..., int]
LIMITED = ("fit", *SMALL, "--data.batch_size", "256", "--trainer.max_epochs", "3", "--trainer.max_time", "00:01:00:00")


class Clock(Timer):
    """Says that the time is up when it has been asked as often as `after` says."""

    after = 0

    def __init__(self, duration: object) -> None:
        self.asked = itertools.count(1)

    def on_train_start(self, *_: object) -> None:
        pass

    def time_remaining(self, stage: object = None) -> float | None:
        return 1.0 if next(self.asked) < Clock.after else 0.0


@pytest.mark.parametrize("after", [2, 6, 8])  # within the first epoch of six batches, at its end, within the second
def test_the_same_command_goes_on_where_the_time_was_up(
    after: int, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*LIMITED, "--run.experiment", "whole") == 0
    monkeypatch.setattr(time_limit, "Timer", Clock)
    monkeypatch.setattr(Clock, "after", after)
    assert run(*LIMITED) == 0
    assert "trainer.max_time is over: the same command continues runs/default/0" in capsys.readouterr().out
    assert not RunFolder(Path("runs/default/0")).finished
    monkeypatch.setattr(Clock, "after", 1000)
    assert run(*LIMITED) == 0
    assert not Path("runs/default/1").exists()
    whole, other = (Path(f"runs/{name}/0") for name in ("whole", "default"))
    assert (whole / "metrics.csv").read_text() == (other / "metrics.csv").read_text()
    np.testing.assert_array_equal(load(whole).loss, load(other).loss)
    states = [torch.load(path / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for path in (whole, other)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert json.loads((other / "result.json").read_text())["epochs"] == 3


def test_a_run_whose_time_is_up_with_its_last_epoch_has_finished(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "Timer", Clock)
    monkeypatch.setattr(Clock, "after", 6)  # asked after five of six batches
    assert run(*LIMITED, "--trainer.max_epochs", "1") == 0
    assert RunFolder(Path("runs/default/0")).finished


def test_a_time_that_is_none_is_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL, "--trainer.max_time", "soon") == 2
    error = capsys.readouterr().err
    assert "DD:HH:MM:SS" in error
    assert error.count("\n") == 1
