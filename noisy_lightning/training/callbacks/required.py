"""The callbacks without which a training run would mislead, whoever made its trainer."""

import lightning as L

from noisy_lightning.training.callbacks.divergence import Divergence
from noisy_lightning.training.callbacks.epoch_values import EpochValues


def require(trainer: L.Trainer) -> None:
    """Put before the callbacks of a trainer those of `EpochValues` and `Divergence` that it does not have."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    present = {type(callback) for callback in callbacks}
    callbacks[:0] = [one for one in (EpochValues(trainer), Divergence()) if type(one) not in present]
