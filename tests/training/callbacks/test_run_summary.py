import json
import time
from pathlib import Path
from typing import Any, final

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import noisy_lightning
from noisy_lightning.data import Digits, Symmetric
from noisy_lightning.data.labels import realised_rate
from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.training.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from noisy_lightning.training.callbacks.run_summary import RunSummary
from noisy_lightning.training.module import NoisyClassifier
from tests.networks import Plain
from tests.training.callbacks.scripted import scripted_trainer


@final
class Stop(L.Callback):
    """Raises an error in an epoch, and notes what the run's folder held when training had begun."""

    def __init__(self, folder: Path, epoch: int, error: BaseException) -> None:
        self.folder, self.epoch, self.error = folder, epoch, error
        self.found: set[str] = set()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.found = {path.name for path in self.folder.iterdir()}
        if trainer.current_epoch == self.epoch:
            raise self.error


def _fit(
    folder: Path,
    *others: Callback,
    epochs: int = 2,
    val_fraction: float = 0.1,
    ckpt_path: str | None = None,
    **options: Any,
) -> tuple[dict[str, Any], Digits, NoisyClassifier]:
    """Train on digits; return the result that the run has, its data and its model."""
    folder.mkdir(exist_ok=True)
    RunFolder(folder).config.touch()
    data = Digits(noise=Symmetric(0.4), batch_size=256, val_fraction=val_fraction)
    model = NoisyClassifier(10, 1, 1437, backbone=Plain, optimizer=lambda parameters: torch.optim.SGD(parameters, 0.1))
    if not val_fraction:
        options["limit_val_batches"] = 0
    trainer = scripted_trainer(folder, RunSummary(RunFolder(folder)), *others, epochs=epochs, **options)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return RunFolder(folder).read_result(), data, model


def _saved(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return what the summary keeps in a checkpoint."""
    (saved,) = (value for name, value in checkpoint["callbacks"].items() if name.startswith("RunSummary"))
    state: dict[str, Any] = saved
    return state


def test_the_result_says_what_the_run_was_given_and_what_came_out(tmp_path: Path) -> None:
    best = BestCheckpoint(tmp_path / "checkpoints")
    start = time.monotonic()
    result, data, model = _fit(tmp_path, best)
    elapsed = time.monotonic() - start
    assert result["run"] == str(tmp_path)
    assert (result["dataset"], result["epochs"]) == ("Digits", 2)
    assert result["noise"] == {
        "kind": "Symmetric",
        "arguments": data.noise_summary().arguments,
        "nominal_rate": 0.4,
        "realised_rate": pytest.approx(realised_rate(data.true_labels, data.labels)),
        "label_hash": data.noise_hash,
    }
    assert result["last_epoch"].keys() >= {"val/acc", "val/loss", "val/acc_true", "lr"}
    assert result["best_epoch"] == {"epoch": best.epoch, "val/acc": best.score}
    assert result["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert 0 < result["seconds"] <= elapsed
    # Seconds are rounded to hundredths.
    assert result["seconds"] == pytest.approx(2 * len(data.train_indices) / result["images_per_second"], abs=0.006)
    assert result["hardware"]["device"] == "cpu"
    assert result["hardware"]["devices"] == 1
    assert result["hardware"]["precision"] == "32-true"
    assert result["versions"]["torch"] == torch.__version__.split("+")[0]
    assert result["versions"]["noisy_lightning"] == noisy_lightning.__version__
    summary, table = read_manifest(tmp_path)
    assert summary.label_hash == data.noise_hash
    assert table.given_labels.equal(data.labels)


def test_without_a_validation_part_no_epoch_is_best(tmp_path: Path) -> None:
    result, _, _ = _fit(tmp_path, LastCheckpoint(tmp_path), val_fraction=0)
    assert result["best_epoch"] is None
    assert not [name for name in result["last_epoch"] if name.startswith("val/")]


def test_before_the_first_validation_no_epoch_is_best(tmp_path: Path) -> None:
    result, _, _ = _fit(tmp_path, BestCheckpoint(tmp_path), check_val_every_n_epoch=3)
    assert result["best_epoch"] is None


def test_the_result_can_be_read_by_anything(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    _fit(tmp_path, epochs=1)
    json.loads((tmp_path / "result.json").read_text(), parse_constant=refuse)


def test_a_run_that_fails_has_its_noise_but_no_result(tmp_path: Path) -> None:
    stop = Stop(tmp_path, 1, RuntimeError("out of luck"))
    with pytest.raises(RuntimeError, match="out of luck"):
        _fit(tmp_path, stop)
    assert stop.found >= {"noise.json", "noise.csv"}  # from the start, for whoever looks on
    assert not (tmp_path / "result.json").exists()


def test_a_run_that_is_interrupted_is_not_finished(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        _fit(tmp_path, Stop(tmp_path, 1, KeyboardInterrupt()))
    assert not RunFolder(tmp_path).finished


def test_a_resumed_run_counts_time_and_images_of_all_its_parts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first, data, _ = _fit(folder, LastCheckpoint(folder), epochs=1)
    state = torch.load(folder / "last.ckpt", weights_only=True)
    saved = _saved(state)
    assert saved["images"] == len(data.train_indices)
    assert saved["seconds"] > 0
    saved["seconds"] = 1000.0
    torch.save(state, folder / "last.ckpt")
    result, _, _ = _fit(folder, epochs=3, ckpt_path=str(folder / "last.ckpt"))
    assert (first["epochs"], result["epochs"]) == (1, 3)
    assert 1000 < result["seconds"] < 1100
    assert result["images_per_second"] == pytest.approx(3 * len(data.train_indices) / result["seconds"], abs=0.1)


def test_the_speed_counts_only_images_that_were_trained_on(tmp_path: Path) -> None:
    _fit(tmp_path, LastCheckpoint(tmp_path), limit_train_batches=1)
    assert _saved(torch.load(tmp_path / "last.ckpt", weights_only=True))["images"] == 2 * 256
