"""Pictures, numbers and hyper-parameters reach the loggers that take them; where these are installed, the real ones."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger, MLFlowLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger, Logger

from noisy_lightning import Digits, NoisyClassifier, SampleRecorder, noise
from noisy_lightning.training.logged_pictures import log_picture, takes_pictures
from tests.networks import Plain

PIXELS = np.zeros((4, 6, 3), np.uint8)


def test_each_logger_gets_a_picture_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages: these loggers of Lightning's refuse to be made without them."""
    seen: list[Any] = []
    wandb, mlflow = object.__new__(WandbLogger), object.__new__(MLFlowLogger)
    monkeypatch.setattr(WandbLogger, "log_image", lambda self, *arguments: seen.append(arguments))
    client = SimpleNamespace(log_image=lambda *arguments, **named: seen.append((*arguments, named)))
    monkeypatch.setattr(MLFlowLogger, "experiment", client)
    monkeypatch.setattr(MLFlowLogger, "run_id", "a")
    for logger in (wandb, mlflow):
        assert takes_pictures(logger)
        log_picture(logger, "train_samples/grid", PIXELS, 4)
    assert seen[0] == ("train_samples/grid", [PIXELS], 5)
    assert seen[1] == ("a", PIXELS, {"key": "train_samples/grid", "step": 5})


def test_others_are_not_asked_to_take_pictures(tmp_path: Path) -> None:
    assert not takes_pictures(DummyLogger())
    assert not takes_pictures(CSVLogger(tmp_path))


def _fit(folder: Path, logger: Logger) -> dict[str, float]:
    data = Digits(noise=noise.Symmetric(0.4), batch_size=500)
    model = NoisyClassifier.for_data(data, Plain)
    quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}
    quiet |= {"enable_checkpointing": False, "default_root_dir": folder, "accelerator": "cpu", "devices": 1}
    trainer = L.Trainer(max_epochs=2, logger=logger, callbacks=[SampleRecorder(folder, picture_epochs=[2])], **quiet)
    trainer.fit(model, datamodule=data)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_csv_gets_numbers_by_epoch_and_hyper_parameters(tmp_path: Path) -> None:
    _fit(tmp_path, CSVLogger(tmp_path, name="", version="csv"))
    rows = (tmp_path / "csv/metrics.csv").read_text().splitlines()
    step = rows[0].split(",").index("step")
    assert {row.split(",")[step] for row in rows[1:]} == {"1", "2"}
    assert "noise_rate: 0.4" in (tmp_path / "csv/hparams.yaml").read_text()


@pytest.mark.filterwarnings("ignore")  # of the package's own making
def test_weights_and_biases_gets_all_of_it_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    logger = WandbLogger(save_dir=tmp_path, offline=True, project="tried")
    measured = _fit(tmp_path, logger)
    assert logger.experiment.config["noise_rate"] == 0.4
    assert logger.experiment.summary["train/loss_noisy"] == pytest.approx(measured["train/loss_noisy"])
    assert logger.experiment.summary["trainer/global_step"] == 2
    pictures = {path.name.rpartition("_")[0].rpartition("_")[0] for path in tmp_path.glob("wandb/offline*/**/*.png")}
    wandb.finish()
    assert pictures == {"loss_and_memorisation", "loss_histograms", "highest_losses"}


@pytest.mark.filterwarnings("ignore")
def test_mlflow_gets_all_of_it_in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    logger = MLFlowLogger("tried", tracking_uri=f"file:{tmp_path}/mlflow")
    measured = _fit(tmp_path, logger)
    kept = logger.experiment.get_run(logger.run_id).data
    assert kept.params["noise_rate"] == "0.4"
    assert kept.metrics["train/loss_noisy"] == pytest.approx(measured["train/loss_noisy"])
    history = logger.experiment.get_metric_history(logger.run_id, "val/acc")
    assert [point.step for point in history] == [1, 2]
    pictures = {
        Path(one.path).name.partition("+")[0] for one in logger.experiment.list_artifacts(logger.run_id, "images")
    }
    assert pictures == {
        f"train_samples~{name}" for name in ("loss_and_memorisation", "loss_histograms", "highest_losses")
    }
