import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.conftest import SMALL

RANDOM = ("--model.backbone", "tests.networks.Random")  # has dropout and batch statistics


def _weights(run: str) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(Path(run, "checkpoints/last.ckpt"), weights_only=True)["state_dict"]
    return state


def test_it_measures_what_a_test_does_and_changes_nothing(run: Callable[..., int]) -> None:
    sets = ("--data.test_sets", "{again: Digits}")
    assert run("fit", *SMALL, *RANDOM, *sets, "--test_every_epoch", "true") == 0
    assert run("fit", *SMALL, *RANDOM, *sets) == 0
    assert run("test", "runs/default/0") == 0
    tested = json.loads(Path("runs/default/0/result.json").read_text())["test"]["last"]
    with Path("runs/default/0/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert rows[0]["test/loss"] != rows[1]["test/loss"]
    for name in ("test/loss", "test/acc", "test/acc_class/3", "test_again/acc"):
        assert float(rows[-1][name]) == pytest.approx(tested[name], abs=1e-6)
    with_curve, without = _weights("runs/default/0"), _weights("runs/default/1")
    assert all(torch.equal(value, without[name]) for name, value in with_curve.items())
    assert "test/acc" not in Path("runs/default/1/metrics.csv").read_text()


@pytest.mark.parametrize("limit", ["1", "0.5"])
def test_it_takes_as_many_batches_as_a_test(run: Callable[..., int], limit: str) -> None:
    assert run("fit", *SMALL, "--test_every_epoch", "true", "--trainer.limit_test_batches", limit) == 0
    with Path("runs/default/0/metrics.csv").open(newline="") as file:
        limited = float(list(csv.DictReader(file))[-1]["test/loss"])
    assert run("test", "runs/default/0") == 0
    tested = json.loads(Path("runs/default/0/result.json").read_text())["test"]["last"]["test/loss"]
    assert run("test", "runs/default/0", "--trainer.limit_test_batches", "1.0") == 0
    whole = json.loads(Path("runs/default/0/result.json").read_text())["test"]["last"]["test/loss"]
    assert limited == pytest.approx(tested, abs=1e-6)
    assert limited != pytest.approx(whole, abs=1e-4)


def test_nothing_is_chosen_by_it(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    stop = ("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor", "test/acc")
    assert run("fit", *SMALL, "--test_every_epoch", "true", *stop) == 2
    assert "EarlyStopping: test/acc is of the test set, by which nothing can be chosen" in capsys.readouterr().err


def test_without_test_images_there_is_nothing_to_measure(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("noisy_lightning.data.Digits.has_test_set", False)
    assert run("fit", *SMALL, "--test_every_epoch", "true") == 2
    assert "test_every_epoch must be false: there is no test set" in capsys.readouterr().err
