"""Records what every training sample went through, epoch by epoch, at next to no cost per step."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor

from noisy_lightning import compat
from noisy_lightning.data.manifest import write_manifest
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import UNKNOWN, EpochRecord, class_accuracy, measure
from noisy_lightning.runs.records import FOLDER, drop_epochs, write_epoch
from noisy_lightning.training.callbacks.sample_histograms import log_histograms
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks
from noisy_lightning.training.callbacks.transition import transition_error, transition_of
from noisy_lightning.training.class_tags import MOST, class_tags
from noisy_lightning.training.epoch_log import log_curves
from noisy_lightning.training.logged_pictures import log_picture, takes_pictures
from noisy_lightning.types import Batch, Step

if TYPE_CHECKING:
    from noisy_lightning.data import NoisyDataModule
    from noisy_lightning.training.callbacks.sample_board import LabeledData

_DPI = 200  # of pictures: loggers shrink them at first, and show them whole when asked
# Columns of the table of a running epoch. The mark is the predicted class + 1, so that 0 is "not seen yet".
_LOSS, _CONFIDENCE, _MARK, _KEPT, _MARGIN = range(_COLUMNS := 5)
# Steps between entries into the table. All at once, these take 9 µs a step; each after a step of its own, when the
# network has driven their code and data out of the processor's caches, 270 µs, and on a GPU with launches of its own.
_STEPS = 32
# More than the samples of a batch: what orders all samples of an epoch.
_BATCH = 2**32


@without_idle_step_hooks
class SampleRecorder(L.Callback):
    """Keeps each training sample's loss, confidence in the given label, margin and prediction, and their measures.

    Every epoch leaves one file in `<folder>/records`, which `load_records` opens, and its measures as `train/...` in
    the loggers, whose x axis is the epoch, and in `trainer.callback_metrics`. The step's own work stays on the device:
    one row per sample in one table. Loggers count epochs from 1 and have the accuracy of each of up to 100 classes by
    its name, as `train_class/...`; files and callbacks count from 0. TensorBoard gets what is of clean and of noisy
    samples, and what the noisy ones are predicted as, as runs within the run: curves of one chart, each in a color of
    its own, and histograms of loss, confidence and margin. TensorBoard, Weights & Biases and MLflow get pictures in a
    few epochs. Where the method works with a transition matrix, its mean absolute difference to the realized one is
    `method/transition_error`. An epoch of which the method keeps no sample gives a warning. It only observes: without
    it a training run ends with the same weights.

    Losses are those of the given labels, without class weights. Of a sample that an epoch serves several times
    (`data.sampling`), the last time is recorded, on any number of devices; of one that it does not serve, nothing.

    Args:
        folder: Where records and noise files go, made if missing; None: the trainer's `default_root_dir`, where the
            command line has put the noise files.
        pictures: Whether loggers get pictures, at about 0.3 s an epoch.
        picture_epochs: After how many epochs there are pictures; none given: 1, 2, 4, 8, ... and the last.

    Example:
        >>> from noisy_lightning import Digits, NoisyClassifier, backbones, load_records, noise
        >>> data = Digits(noise=noise.Symmetric(0.4), batch_size=479)
        >>> model = NoisyClassifier.for_data(data, backbones.SmallCNN)
        >>> quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "accelerator": "cpu"}
        >>> quiet |= {"enable_model_summary": False}
        >>> trainer = L.Trainer(max_epochs=2, callbacks=[SampleRecorder("recorded")], **quiet)
        >>> trainer.fit(model, datamodule=data)
        >>> records = load_records("recorded")
        >>> records.loss.shape, sorted(records.measures())[:3]
        ((2, 1437), ['acc', 'acc_true', 'auroc'])
    """

    def __init__(
        self, folder: str | Path | None = None, pictures: bool = True, picture_epochs: Sequence[int] | None = None
    ) -> None:
        if picture_epochs is not None and min(picture_epochs, default=1) < 1:
            raise InputError(
                f"recorder.picture_epochs must be at least 1: epochs count from 1 here, got {picture_epochs}"
            )
        self.folder = None if folder is None else Path(folder)
        self.pictures, self.picture_epochs = pictures, picture_epochs
        self._table = torch.zeros(0, _COLUMNS)
        self._served = torch.zeros(0, dtype=torch.long)  # (N,) when a sample was last served; 0: not yet
        self._waiting: list[tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor, int]] = []
        self._epoch: int | None = None  # the epoch whose samples the table holds; None: it is empty
        self._selects = False
        self._restored: dict[str, Any] | None = None
        self._trainer: L.Trainer | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Check that the run has a data module that knows its labels."""
        self._trainer = trainer  # state_dict is not given one
        if stage == "fit" and not hasattr(getattr(trainer, "datamodule", None), "true_labels"):
            raise InputError("SampleRecorder needs the data as a NoisyDataModule: trainer.fit(model, datamodule=...)")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Make the table: the first hook that knows the device, and that a resume in mid-epoch does not skip."""
        data = _data(trainer)
        self._table = torch.zeros(len(data.labels), _COLUMNS, device=pl_module.device)
        self._served = torch.zeros(len(data.labels), dtype=torch.long, device=pl_module.device)
        self._waiting.clear()
        self._epoch, self._selects = None, False
        if trainer.is_global_zero:
            drop_epochs(self._place(trainer) / FOLDER, first=trainer.current_epoch)
            self._place(trainer).mkdir(parents=True, exist_ok=True)
            if self.folder is not None:
                known = cast("NoisyDataModule", data)
                write_manifest(self.folder, known.noise_summary(), known.label_table())
        if self._restored is not None:
            self._resume(trainer, self._restored)
            self._restored = None

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Keep the step's samples; every now and then, write what has gathered into the table."""
        step = cast(Step, pl_module.last_step)
        kept = None if step.sample_weight is None else step.sample_weight.detach()
        self._waiting.append((step.losses.detach(), step.logits.detach(), kept, batch.label, batch.index, batch_idx))
        self._epoch = trainer.current_epoch
        if len(self._waiting) >= _STEPS:
            self._enter()

    def _enter(self) -> None:
        """Write the waiting samples into the table, without waiting for the device."""
        if not self._waiting:
            return
        self._selects = self._selects or any(step[2] is not None for step in self._waiting)
        shares = [torch.ones_like(step[0]) if step[2] is None else step[2] for step in self._waiting]
        losses, logits, _, labels, parts, batches = zip(*self._waiting, strict=True)
        # Over the first dimension, since over a last one of ten classes softmax is not vectorized (510 µs to 55).
        by_class, label = torch.cat(logits).t(), torch.cat(labels).unsqueeze(0)
        confidence = by_class.softmax(0, dtype=torch.float32).gather(0, label).squeeze(0)
        margin = by_class.gather(0, label).squeeze(0) - by_class.scatter(0, label, -torch.inf).amax(0)
        columns = (torch.cat(losses), confidence, by_class.argmax(0) + 1, torch.cat(shares), margin)
        rows, index = torch.stack([column.float() for column in columns], 1), torch.cat(parts)
        # A sample that is there several times gets the same row each time, the last one.
        place = torch.arange(len(index), device=index.device)
        last = torch.zeros_like(self._served).scatter_reduce_(0, index, place, "amax")[index]
        self._table.index_copy_(0, index, rows[last])
        self._served.index_copy_(0, index, self._order(batches, parts).to(index.device)[last])
        self._waiting.clear()

    def _order(self, batches: Sequence[int], parts: Sequence[Tensor]) -> Tensor:
        """Return numbers, from 2, that grow in the order in which an epoch serves samples, on all ranks together."""
        ranks, rank = (1, 0) if self._trainer is None else (self._trainer.world_size, self._trainer.global_rank)
        starts = (
            torch.tensor(batches).repeat_interleave(torch.tensor([len(part) for part in parts])) * _BATCH + 2 + rank
        )
        return starts + ranks * torch.cat([torch.arange(len(part)) for part in parts])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch's record and log its measures.

        Checkpoint callbacks come later in this hook, so that what they save carries an empty table.
        """
        if self._epoch is not None:
            table = self._gather()  # which enters what waits, and only then knows whether the method selects
            measures = self._close(trainer, self._epoch, table, self._selects)
            pl_module.log_dict(measures, logger=False, **compat.EQUAL_ON_ALL_RANKS)
            self._table.zero_()
            self._served.zero_()
            self._epoch, self._selects = None, False

    def state_dict(self) -> dict[str, Any]:
        """Return the samples of a running epoch, of all ranks; nothing between epochs."""
        if self._epoch is None:
            return {}
        table = self._gather()  # before _selects is read, as above
        return {"epoch": self._epoch, "selects": self._selects, "table": table}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the state until training starts and the device is known."""
        self._restored = state_dict

    def _resume(self, trainer: L.Trainer, state: dict[str, Any]) -> None:
        if len(state["table"]) != len(self._table):
            raise InputError(
                f"the checkpoint records {len(state['table'])} training samples, the data has {len(self._table)}: "
                "it belongs to another data set"
            )
        if state["epoch"] < trainer.current_epoch:
            # Saved after the last batch of an epoch, such as by a validation: Lightning resumes with the next
            # epoch and never ends this one.
            self._close(trainer, state["epoch"], state["table"], state["selects"])
            return
        self._epoch, self._selects = state["epoch"], state["selects"]
        if trainer.is_global_zero:
            self._table.copy_(state["table"])
            self._served.copy_(self._table[:, _MARK] > 0)  # 1: before whatever is served from here on

    def _gather(self) -> Tensor:
        """Return the rows of all ranks in one table (N, 5) on the CPU; called by all ranks together."""
        self._enter()
        trainer, table = self._trainer, self._table
        if trainer is not None and trainer.world_size > 1:
            # Two ranks may meet the same sample: the row of the later time counts, whole.
            last = trainer.strategy.reduce(self._served.clone(), reduce_op="max")
            # A copy, as the sum is made in place and the epoch may go on.
            table = table.masked_fill((self._served != last).unsqueeze(1), 0.0)
            table = trainer.strategy.reduce(table, reduce_op="sum")
        return table.to("cpu", copy=True)

    def _close(self, trainer: L.Trainer, epoch: int, table: Tensor, selects: bool) -> dict[str, float]:
        """Write and log a finished epoch; return its measures, the same on all ranks."""
        data = _data(trainer)
        labels, true_labels = data.epoch_labels(epoch), data.true_labels
        record = _as_record(table, selects)
        if labels is not data.labels:
            record = record._replace(labels=labels.numpy())
        measured = measure(record, labels.numpy(), true_labels.numpy())
        measures = {f"train/{name}": value for name, value in measured.items()}
        transition = transition_of(trainer.lightning_module)
        error = None if transition is None else transition_error(transition, labels, true_labels)
        if error is not None:
            measures["method/transition_error"] = error
        if trainer.is_global_zero:
            if measured.get("kept") == 0:
                warnings.warn("the method has kept no sample for a whole epoch: it learned nothing", stacklevel=2)
            write_epoch(self._place(trainer) / FOLDER, epoch, record)
            self._show(trainer, epoch, record, measures)
        return measures

    def _show(self, trainer: L.Trainer, epoch: int, record: EpochRecord, measures: dict[str, float]) -> None:
        """Give the loggers the measures, accuracies of classes, histograms and pictures."""
        data = _data(trainer)
        labels, true_labels = data.epoch_labels(epoch).numpy(), data.true_labels.numpy()
        known = true_labels != UNKNOWN
        scalars = dict(measures)
        if len(data.class_names) <= MOST:
            accuracy = class_accuracy(record.prediction, np.where(known, true_labels, labels), len(data.class_names))
            by_class = zip(class_tags(data.class_names), accuracy.tolist(), strict=True)
            scalars |= {f"train_class/{tag}": value for tag, value in by_class if not math.isnan(value)}
        log_curves(trainer, scalars, epoch)
        for board in (logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)):
            log_histograms(board, epoch, record, known & (true_labels == labels), known & (true_labels != labels))
            board.save()
        pictured = [logger for logger in trainer.loggers if takes_pictures(logger)]
        if pictured and self._has_pictures(epoch + 1, last=trainer.should_stop or epoch + 1 == trainer.max_epochs):
            self._draw(trainer, epoch, record, pictured)

    def _draw(self, trainer: L.Trainer, epoch: int, record: EpochRecord, loggers: Sequence[Logger]) -> None:
        # Slow to import.
        from noisy_lightning.figures.style import as_array  # noqa: PLC0415
        from noisy_lightning.training.callbacks.sample_board import pictures_of, transition_picture  # noqa: PLC0415

        figures = dict(pictures_of(self._place(trainer), epoch, record, _data(trainer)))
        if (transition := transition_of(trainer.lightning_module)) is not None:
            figures["transition_matrix"] = transition_picture(epoch, transition, _data(trainer))
        for name, figure in figures.items():
            pixels = as_array(figure, _DPI)
            for logger in loggers:
                log_picture(logger, f"train_samples/{name}", pixels, epoch)

    def _place(self, trainer: L.Trainer) -> Path:
        return self.folder or Path(trainer.default_root_dir)

    def _has_pictures(self, done: int, last: bool) -> bool:
        if self.picture_epochs is not None:
            return self.pictures and done in self.picture_epochs
        return self.pictures and (last or done.bit_count() == 1)


def _data(trainer: L.Trainer) -> "LabeledData":
    return cast("LabeledData", trainer.datamodule)  # type: ignore[attr-defined]


def _as_record(table: Tensor, selects: bool) -> EpochRecord:
    """Turn the table (N, 5) of an epoch into its record."""
    loss, confidence, mark, kept, margin = table.T.numpy()
    seen = mark > 0
    rows = (np.where(seen, row, np.float32(np.nan)) for row in (loss, confidence, kept, margin))
    loss, confidence, kept, margin = rows
    return EpochRecord(loss, confidence, mark.astype(np.int16) - 1, kept if selects else None, margin=margin)
