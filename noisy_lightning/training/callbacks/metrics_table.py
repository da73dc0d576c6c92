"""One row per epoch in metrics.csv, whose column `epoch` counts from 0, as programs do."""

import csv
import warnings
from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from noisy_lightning.errors import reading
from noisy_lightning.runs.files import replacing
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


@final
@without_idle_step_hooks
class MetricsTable(Checkpoint):  # Lightning runs checkpoints last: all has been logged by then
    """Keeps `metrics.csv`: one row per finished epoch with all that `trainer.callback_metrics` has of it.

    A resumed run drops the rows of epochs that it repeats, so that the table equals an uninterrupted run's.

    Args:
        path: The file.
        goes_on: Whether a checkpoint is of this run, whose rows should be there, not of another that it begins with.
    """

    def __init__(self, path: Path, goes_on: bool = True) -> None:
        self.path, self.goes_on = path, goes_on
        self.first = 0  # epoch of the run's own
        self.rows: list[dict[str, Any]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up the rows of earlier epochs.

        Raises:
            InputError: The file is damaged.
        """
        if not self.goes_on:
            self.first = trainer.current_epoch
        if not trainer.is_global_zero:
            return
        if self.path.exists():
            with reading(self.path), self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, strict=True))
                self.rows = [row for row in rows if int(row["epoch"]) < trainer.current_epoch and None not in row]
        there = {int(row["epoch"]) for row in self.rows}
        if missing := sorted(set(range(self.first, trainer.current_epoch)) - there):
            which = ", ".join(str(epoch + 1) for epoch in missing)
            warnings.warn(f"{self.path} lacks earlier epochs, and goes on without: {which}"[:500], stacklevel=2)

    def state_dict(self) -> dict[str, Any]:
        """Return the first epoch of the run's own."""
        return {"first": self.first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the first epoch of the run's own."""
        self.first = state_dict["first"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the table anew, atomically, so that columns may join late."""
        if not trainer.is_global_zero:
            return
        values = {name: repr(value.item()) for name, value in trainer.callback_metrics.items()}
        self.rows.append({"epoch": trainer.current_epoch, **values})
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with replacing(self.path) as staged, staged.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
