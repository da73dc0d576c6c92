"""What is undefined in an epoch is empty wherever a run says what it measured, interrupted or not."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from noisy_lightning import Digits, NoisyClassifier, noise
from noisy_lightning.runs.records import load
from noisy_lightning.training.callbacks.epoch_values import EpochValues
from tests.kill import Fall
from tests.networks import Plain

# One label is wrong, and an epoch sees a third of the samples.
RARE = (
    *("fit", "--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.0008"),
    *("--data.batch_size", "200", "--trainer.devices", "1"),
    *("--model.backbone", "tests.networks.Plain", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"),
    *("--trainer.limit_train_batches", "2", "--trainer.max_epochs", "6", "--trainer.accelerator", "cpu"),
    *("--trainer.check_val_every_n_epoch", "2", "--trainer.callbacks+=tests.kill.Fall"),
    *("--recorder.pictures", "false"),
)


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def whole(run: Callable[..., int]) -> Path:
    assert run(*RARE) == 0
    return Path("runs/default/0")


def test_what_is_undefined_in_an_epoch_is_empty_in_every_file(whole: Path) -> None:
    rows, measures = _rows(whole), load(whole).measures()
    undefined = np.isnan(measures["auroc"])
    assert undefined.any()
    assert not undefined.all()
    assert undefined[np.argmin(undefined) :].any()  # also after an epoch in which it is defined
    for name in ("auroc", "loss_noisy", "memorised"):
        assert [row[f"train/{name}"] == "" for row in rows] == undefined.tolist()
    assert [row["val/acc"] == "" for row in rows] == [True, False] * 3
    board = EventAccumulator(str(whole))
    board.Reload()
    assert [point.step for point in board.Scalars("train/auroc")] == (1 + np.flatnonzero(~undefined)).tolist()
    last = json.loads((whole / "result.json").read_text())["last_epoch"]
    assert last == {name: float(cell) for name, cell in rows[-1].items() if cell and name != "epoch"}


@pytest.mark.parametrize("at", [(3, 0), (4, 1)])
def test_a_run_that_goes_on_has_the_same_empty_cells(
    at: tuple[int, int], whole: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fall, "at", at)
    again = (*RARE, "--run.experiment", "again", "--run.checkpoint_every_n_steps", "1")
    with pytest.raises(ZeroDivisionError):
        run(*again)
    assert run(*again) == 0
    other = Path("runs/again/0")
    assert (other / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    results = [json.loads((path / "result.json").read_text())["last_epoch"] for path in (whole, other)]
    assert results[0] == results[1]


class Watch(Callback):
    """Notes what callbacks can read while an epoch begins and when it has ended."""

    def __init__(self) -> None:
        self.seen: list[set[str]] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("begun", float(trainer.current_epoch))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.seen.append(set(trainer.callback_metrics))


def test_callbacks_of_a_trainer_in_python_see_the_running_epoch_alone(tmp_path: Path) -> None:
    data = Digits(noise=noise.Symmetric(0.4), batch_size=1293)
    model = NoisyClassifier.for_data(data, Plain)
    watch = Watch()
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    quiet |= {"enable_model_summary": False, "log_every_n_steps": 1, "accelerator": "cpu", "devices": 1}
    trainer = L.Trainer(max_epochs=3, callbacks=[watch], check_val_every_n_epoch=2, default_root_dir=tmp_path, **quiet)
    trainer.fit(model, datamodule=data)
    assert ["val/acc" in seen for seen in watch.seen] == [False, True, False]
    assert all("begun" in seen for seen in watch.seen)  # logged before the module's own hook
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    assert [isinstance(callback, EpochValues) for callback in callbacks] == [
        True,
        False,
        False,
        False,
    ]
    trainer.fit_loop.max_epochs = 4
    trainer.fit(model, datamodule=data)
    assert sum(isinstance(callback, EpochValues) for callback in callbacks) == 1
