"""The callbacks without which a run would mislead, or could not be compared, whoever made its trainer."""

import lightning as L

from noisy_lightning.training.callbacks.divergence import Divergence
from noisy_lightning.training.callbacks.epoch_values import EpochValues
from noisy_lightning.training.callbacks.hyper_parameters import HyperParameters


def require(trainer: L.Trainer) -> None:
    """Put before a trainer's callbacks those of `EpochValues`, `Divergence` and `HyperParameters` that it lacks."""
    callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    present = {type(callback) for callback in callbacks}
    own: list[L.Callback] = [EpochValues(trainer), Divergence(), HyperParameters()]
    callbacks[:0] = [one for one in own if type(one) not in present]
