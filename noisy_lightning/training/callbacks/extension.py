"""A run that gets more epochs than it had."""

from typing import final

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from noisy_lightning.runs.files import write_text
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks

_KEPT = ("test", "validate")  # of a result


@final
@without_idle_step_hooks
class Extension(Checkpoint):  # Lightning runs checkpoints last: all that can refuse has been loaded by then
    """Makes a run longer, and unfinished, when it goes on: whatever fails before then leaves it as it was.

    Args:
        run: Its folder.
        settings: Its configuration, as the folder keeps it, with the epochs that are wanted.
    """

    def __init__(self, run: RunFolder, settings: str) -> None:
        self.run, self.settings = run, settings

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write it."""
        if trainer.is_global_zero:
            # In this order, a kill in between leaves an unfinished run, which the same command makes longer.
            self.run.update_result(lambda result: {name: result[name] for name in _KEPT if name in result})
            write_text(self.run.config, self.settings)
