"""Values that stand over epochs."""

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn

from noisy_lightning import compat


def log_at_epoch(module: L.LightningModule, values: Mapping[str, Any], epoch: int | None = None) -> None:
    """Log values that are the same on all ranks, with an epoch on the x axis.

    In a fit, the loggers get them from here: Lightning would want the epoch as a metric called `step`, which then stood
    in the names of checkpoints in place of the step. Outside, it returns what it logs, and must log itself.

    Args:
        module: What is trained or evaluated.
        values: Numbers by name.
        epoch: Counted from 0; None: the current one.
    """
    trainer = module.trainer
    epoch = module.current_epoch if epoch is None else epoch
    fits = trainer.state.fn == TrainerFn.FITTING
    module.log_dict(values, logger=False if fits else None, **compat.EQUAL_ON_ALL_RANKS)
    if not fits:
        compat.log_evaluation_at(trainer, epoch)
    elif not trainer.sanity_checking:
        numbers = {name: torch.as_tensor(value, dtype=torch.float32).item() for name, value in values.items()}
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=epoch)
            logger.save()
