"""What loggers are given of an epoch: people look at it, so that epochs count from 1 there and classes have names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.trainer.states import TrainerFn

from noisy_lightning import compat
from noisy_lightning.training.class_tags import by_class_name

TOGETHER = {
    "train/loss_clean": ("clean", "train/loss"),
    "train/loss_noisy": ("noisy", "train/loss"),
    "train/memorised": ("memorized", "train/noisy_predicted_as"),
    "train/corrected": ("corrected", "train/noisy_predicted_as"),
    "train/acc_true": ("true_labels", "train/acc"),
    "val/acc_true": ("true_labels", "val/acc"),
}
"""What TensorBoard gets as a curve of a run within the run: that one's name, and the tag.

TensorBoard colors by run and draws one chart a tag: curves that are to be compared need one tag and runs of their own.
It has seven colors, which it gives to runs in the order in which they begin: to a run, these five parts and what is
about the whole (`board_session.py`) one each, and with several runs to clean samples the same everywhere, and to noisy
ones another. Therefore `train/neither`, what is left of two others, has a chart of its own.
"""


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
    names: Sequence[str] = trainer.datamodule.class_names  # type: ignore[attr-defined]
    if not fits:
        compat.log_evaluation_by(trainer, lambda metrics: log_curves(trainer, by_class_name(metrics, names), epoch))
    elif not trainer.sanity_checking:
        log_curves(trainer, by_class_name(values, names), epoch)


def log_curves(trainer: L.Trainer, values: Mapping[str, Any], epoch: int) -> None:
    """Give values to the loggers of a trainer; TensorBoard has those of `TOGETHER` in one chart.

    Args:
        trainer: Whose loggers.
        values: Numbers by name.
        epoch: Counted from 0; the loggers count from 1.
    """
    numbers = {name: torch.as_tensor(value, dtype=torch.float32).item() for name, value in values.items()}
    for logger in trainer.loggers if trainer.is_global_zero else []:
        _log(logger, numbers, epoch + 1)
        logger.save()


def _log(logger: Logger, numbers: dict[str, float], step: int) -> None:
    if not isinstance(logger, TensorBoardLogger):
        logger.log_metrics(numbers, step)
        return
    logger.log_metrics({name: value for name, value in numbers.items() if name not in TOGETHER}, step)
    from torch.utils.tensorboard.summary import scalar  # noqa: PLC0415  # slow to import

    for name, (part, tag) in TOGETHER.items():
        if name not in numbers:
            continue
        compat.run_within(logger.experiment, part).add_summary(scalar(tag, numbers[name]), step)  # type: ignore[no-untyped-call]


def forget_later(trainer: L.Trainer) -> None:
    """Have TensorBoard forget what the epochs from the current one on have logged, which a run repeats that goes on.

    Args:
        trainer: Whose loggers, at its start.
    """
    for logger in trainer.loggers if trainer.is_global_zero and trainer.current_epoch else []:
        if not isinstance(logger, TensorBoardLogger):
            continue
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[import-untyped]  # noqa: PLC0415

        board, folder = logger.experiment, Path(logger.log_dir)
        parts = sorted({part for part, _ in TOGETHER.values() if (folder / part).is_dir()})
        for writer in (board.file_writer, *(compat.run_within(board, part) for part in parts)):
            start = SessionLog(status=SessionLog.START)
            writer.add_event(Event(session_log=start), trainer.current_epoch + 1)
