"""What decides a run and what came out of it, for whoever compares runs in a logger."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from noisy_lightning import compat
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.runs.final_numbers import final_numbers, tables_of_tests
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.training.board_session import write_session
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks
from noisy_lightning.training.hyper_parameters import hyper_parameters

if TYPE_CHECKING:
    from noisy_lightning.training.module import NoisyClassifier


@final
@without_idle_step_hooks
class HyperParameters(L.Callback):
    """Gives all loggers the hyper-parameters when a run starts, and TensorBoard its final numbers when it has ended.

    Args:
        run: Whose result has the final numbers, written before this is called; None: they are those of the last epoch.
    """

    def __init__(self, run: RunFolder | None = None) -> None:
        self.run = run

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Wait for the first step."""
        vars(self).pop("on_train_batch_start", None)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Give them, once: before the first step something may refuse to go on, and leaves a run as it was."""
        compat.skip_hook(self, "on_train_batch_start")
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if not isinstance(logger, TensorBoardLogger):
                logger.log_hyperparams(cast(dict[str, Any], _parameters(trainer, pl_module)))
        self.write(trainer, pl_module, {})

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Give the final numbers."""
        if trainer.is_global_zero:
            last = {name: value.item() for name, value in trainer.callback_metrics.items()}
            alone = {"epochs": trainer.current_epoch, "last_epoch": last}
            self.write(trainer, pl_module, self.run.read_result() if self.run else alone)

    def write(self, trainer: L.Trainer, pl_module: L.LightningModule, result: Mapping[str, Any]) -> None:
        """Write what TensorBoard has of the run as a whole.

        Args:
            trainer: Whose loggers.
            pl_module: What is trained.
            result: As `result.json` holds it; empty before the end.
        """
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                parameters = _parameters(trainer, pl_module)
                show_result(Path(logger.log_dir), parameters, result, _data(trainer).class_names)


def show_result(
    folder: Path, parameters: Mapping[str, Any], result: Mapping[str, Any], class_names: Sequence[str]
) -> None:
    """Give TensorBoard what decides a run and what came out of it.

    Args:
        folder: Of its board.
        parameters: Hyper-parameters by name.
        result: As `result.json` holds it.
        class_names: K names.
    """
    texts = tables_of_tests(result.get("test") or {}, class_names)
    write_session(folder, parameters, final_numbers(result), texts, "epochs" in result)


def _parameters(trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, str | float]:
    return hyper_parameters(cast("NoisyClassifier", pl_module).specification, _data(trainer), trainer.max_epochs or 0)


def _data(trainer: L.Trainer) -> NoisyDataModule:
    return cast(NoisyDataModule, trainer.datamodule)  # type: ignore[attr-defined]
