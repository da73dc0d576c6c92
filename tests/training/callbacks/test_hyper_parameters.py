"""What loggers have of a run as a whole, read back from event files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from tensorboard.plugins.hparams import metadata  # type: ignore[import-untyped]

from noisy_lightning import Digits, NoisyClassifier, losses, noise
from tests.conftest import SMALL
from tests.networks import Plain


def _board(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def _parameters(run: Path) -> dict[str, Any]:
    """Return the hyper-parameters of the only session of a run."""
    (folder,) = {file.parent for file in run.rglob("events.out.tfevents.*") if _is_session(file.parent)}
    content = _board(folder).SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(content).hparams
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in found.items()}


def _is_session(folder: Path) -> bool:
    return metadata.SESSION_START_INFO_TAG in _board(folder).summary_metadata


def _finals(run: Path) -> dict[str, float]:
    board = _board(run / "final")
    found = {}
    for tag in board.Tags()["scalars"]:
        (event,) = board.Scalars(tag)
        found[tag] = event.value
    return found


def _has_ended(run: Path) -> bool:
    return metadata.SESSION_END_INFO_TAG in _board(run / "final").summary_metadata


SCE = ("--model.loss", "SCE", "--model.loss.alpha", "0.5")


def test_a_run_has_one_row_that_a_test_fills_in(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("fit", *SMALL, *SCE) == 0
    folder = tmp_path / "runs/default/0"
    fitted, numbers = _parameters(folder), _finals(folder)
    assert fitted["noise_rate"] == 0.4
    assert (fitted["data"], fitted["noise"], fitted["method"]) == ("Digits", "Symmetric", "Standard")
    assert fitted["loss"].startswith("SymmetricCrossEntropy(alpha=0.5, beta=1.0")
    assert (fitted["optimizer"], fitted["lr"], fitted["batch_size"], fitted["epochs"]) == ("SGD", 0.1, 256, 2)
    result = json.loads((folder / "result.json").read_text())
    assert numbers["final/auroc"] == pytest.approx(result["last_epoch"]["train/auroc"])
    assert numbers["final/val_acc_best"] == pytest.approx(result["best_epoch"]["val/acc"])
    assert not [name for name in numbers if "test" in name]
    assert _has_ended(folder)
    for _ in range(2):
        assert run("test", str(folder)) == 0
    tested = json.loads((folder / "result.json").read_text())["test"]
    assert _parameters(folder) == fitted
    for name in ("best", "last"):
        assert _finals(folder)[f"final/test_acc_{name}"] == pytest.approx(tested[name]["test/acc"])
    assert "test/acc" not in _board(folder).Tags()["scalars"], "two points are no curve"
    (text,) = _board(folder / "final").Tensors("test/text_summary")
    assert f"(epoch {tested['last']['epoch'] + 1})" in text.tensor_proto.string_val[0].decode()
    assert len(list((folder / "final").iterdir())) == 1


def test_a_run_that_is_made_longer_has_a_row_of_its_new_length(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("fit", *SMALL) == 0
    folder = tmp_path / "runs/default/0"
    assert run("test", str(folder)) == 0
    assert run("fit", *SMALL, "--trainer.max_epochs", "3", "--run.extend", "true") == 0
    assert _parameters(folder)["epochs"] == 3
    assert not [name for name in _finals(folder) if "test" in name]


def test_of_a_run_that_is_killed_the_row_says_that_it_goes_on(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("noisy_lightning.training.callbacks.metrics_table.MetricsTable.on_train_epoch_end", fall)
        with pytest.raises(ZeroDivisionError):
            run("fit", *SMALL)
    folder = tmp_path / "runs/default/0"
    assert _parameters(folder)["epochs"] == 2
    assert not _has_ended(folder)
    assert not _finals(folder)
    assert run("fit", *SMALL) == 0
    assert _has_ended(folder)


class Recorded(DummyLogger):
    """Takes hyper-parameters and numbers, as any logger of Lightning's does."""

    def __init__(self) -> None:
        super().__init__()
        self.parameters: list[dict[str, Any]] = []
        self.numbers: list[tuple[int | None, dict[str, float]]] = []

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        self.parameters.append(args[0])

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.numbers.append((step, metrics))


def test_any_logger_gets_hyper_parameters_once_and_numbers_by_epoch_from_python_too(tmp_path: Path) -> None:
    data = Digits(noise=noise.Symmetric(0.2), batch_size=500)
    model = NoisyClassifier.for_data(data, Plain, losses.SymmetricCrossEntropy)
    logger, board = Recorded(), TensorBoardLogger(tmp_path, name="", version="")
    quiet: dict[str, Any] = {
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "accelerator": "cpu",
        "log_every_n_steps": 1,
    }
    trainer = L.Trainer(max_epochs=2, logger=[logger, board], default_root_dir=tmp_path, **quiet)
    trainer.fit(model, datamodule=data)
    (parameters,) = logger.parameters
    assert parameters["loss"] == "SymmetricCrossEntropy"
    assert parameters["optimizer"] == "SGD"
    assert all(isinstance(value, str | int | float) for value in parameters.values())
    assert [step for step, numbers in logger.numbers if "val/acc" in numbers] == [1, 2]
    assert _parameters(tmp_path) == parameters
    assert _finals(tmp_path)["final/val_acc_last"] == pytest.approx(trainer.callback_metrics["val/acc"].item())
    assert torch.isfinite(torch.tensor(list(_finals(tmp_path).values()))).all()
