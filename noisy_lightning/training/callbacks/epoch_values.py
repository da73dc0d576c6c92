"""What an epoch has logged, and nothing of earlier ones."""

from typing import Any, final

import lightning as L
from torch import Tensor

from noisy_lightning import compat
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


@final
@without_idle_step_hooks
class EpochValues(L.Callback):
    """Keeps in `trainer.callback_metrics` what the running epoch has logged, and that alone.

    Lightning keeps a value until it is logged again: what is undefined in an epoch, such as the AUROC of an epoch
    without a wrong label, would repeat that of an earlier one. The values are in checkpoints, so that a run which goes
    on within an epoch, or has nothing left to train, has them all.

    It has to be the first callback, since others may log when an epoch begins.

    Args:
        trainer: Whose values, since `state_dict` is not given one.
    """

    def __init__(self, trainer: L.Trainer) -> None:
        self._trainer = trainer
        self._restored: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take up the values of a checkpoint, which Lightning would drop before this."""
        compat.logged_values(trainer).update(self._restored)
        self._restored = {}

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the epoch before."""
        compat.logged_values(trainer).clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the values of the running epoch, or of the one that has just ended."""
        return {name: value.detach().cpu() for name, value in self._trainer.callback_metrics.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the values until training starts."""
        self._restored = dict(state_dict)
