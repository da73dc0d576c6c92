"""Stops a run when its time is up, at a place from which it goes on as if it had not stopped."""

from datetime import timedelta
from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, Timer

from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


class TimeIsUpError(Exception):
    """The time of this process is up; the run is unfinished."""


@final
@without_idle_step_hooks
class TimeLimit(Checkpoint):
    """Ends a fit by `TimeIsUpError` after a time, from the beginning of this process's first step.

    Lightning's own limit would close the epoch in its middle and the run with it, and count the time of all processes.

    Args:
        limit: As Lightning takes `max_time`: such as "00:12:00:00", days, hours, minutes and seconds.
        last: The file of the last checkpoint, which is saved first where that is within an epoch. The callback that
            saves it after epochs has to come before this one.
    """

    def __init__(self, limit: str | timedelta | dict[str, int], last: Path) -> None:
        self._timer, self.last = Timer(limit), last

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to count."""
        self._timer.on_train_start(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save and end, but never at the last batch of an epoch, from where a resume would skip the validation."""
        done = batch_idx + 1
        between_steps = done % trainer.accumulate_grad_batches == 0
        if between_steps and done < trainer.num_training_batches and self._is_up(trainer):
            trainer.save_checkpoint(self.last)
            raise TimeIsUpError

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End, unless this was the last epoch."""
        if trainer.current_epoch + 1 != trainer.max_epochs and not trainer.should_stop and self._is_up(trainer):
            raise TimeIsUpError

    def _is_up(self, trainer: L.Trainer) -> bool:
        """Return what the clock of the first rank says, on all of them."""
        remaining = self._timer.time_remaining()
        is_up = remaining is not None and remaining <= 0
        return bool(trainer.strategy.broadcast(is_up)) if trainer.world_size > 1 else is_up
