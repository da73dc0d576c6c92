"""What test says of runs that have not come to their end, and what is kept of it when they do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SMALL
from tests.kill import Fall

Run = Callable[..., int]


def _result(run: str = "default/0") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"runs/{run}/result.json").read_text())
    return content


@pytest.fixture
def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Return the command of a run that has been interrupted in its second epoch of three."""
    command = ("fit", *SMALL, "--trainer.max_epochs", "3", "--trainer.callbacks+=tests.kill.Fall")
    monkeypatch.setattr(Fall, "at", (1, 1))
    with pytest.raises(ZeroDivisionError):
        run(*command)
    return command


def test_a_test_of_an_interrupted_run_says_so(
    interrupted: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("test", "runs/default/0") == 0
    out = capsys.readouterr().out
    assert "run            runs/default/0, unfinished: its command continues it" in out
    assert "(epoch 1 of 3: last)" in out
    assert "(epoch 1 of 3, chosen on noisy validation so far: best)" in out
    assert "last epoch" not in out


def test_what_was_tested_before_the_end_does_not_pass_for_the_end(interrupted: tuple[str, ...], run: Run) -> None:
    assert run("test", "runs/default/0") == 0
    assert run("validate", "runs/default/0", "last") == 0
    early = _result()["test"]["last"]
    assert early["epoch"] == 0
    assert run(*interrupted) == 0
    assert _result()["epochs"] == 3
    assert "last" not in _result().get("test", {})
    assert "validate" not in _result()
    assert run("test", "runs/default/0") == 0
    assert _result()["test"]["last"]["epoch"] == 2
    assert _result()["test"]["last"] != early


def test_what_was_tested_beside_the_run_is_kept_where_its_weights_are(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a learning rate from the second epoch on, the first is the best to the end.
    still = ("--model.lr_scheduler", "StepLR", "--model.lr_scheduler.step_size", "1", "--model.lr_scheduler.gamma", "0")
    command = ("fit", *SMALL, *still, "--trainer.callbacks+=tests.kill.Fall")
    monkeypatch.setattr(Fall, "at", (1, 1))
    with pytest.raises(ZeroDivisionError):
        run(*command)
    checkpoints = Path("runs/default/0/checkpoints")
    shutil.copy(checkpoints / "last.ckpt", checkpoints / "mine.ckpt")
    assert run("test", "runs/default/0") == 0
    assert run("test", "runs/default/0", str(checkpoints / "mine.ckpt")) == 0
    assert run("validate", "runs/default/0", "best") == 0
    early = _result()
    assert set(early["test"]) == {"best", "last", "mine"}
    assert run(*command) == 0
    result = _result()
    assert result["best_epoch"]["epoch"] == 0
    assert result["test"] == {name: early["test"][name] for name in ("best", "mine")}
    assert result["validate"] == early["validate"]


def test_weights_of_another_run_do_not_pass_for_its_own(run: Run) -> None:
    for _ in range(2):
        assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    other = "runs/default/1/checkpoints/last.ckpt"
    assert run("test", "runs/default/0", other) == 0
    assert set(_result()["test"]) == {other}
