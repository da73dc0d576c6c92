"""A training run whose every metric is written down beforehand, for callbacks that only react to them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from noisy_lightning.cli.keys import TRAINER_DEFAULTS

BATCHES = 6


@final
class Scripted(L.LightningModule):
    """Logs what it is told in each epoch; its buffer `epoch` tells in a checkpoint which epoch it is of.

    Args:
        scores: `val/acc` of each epoch.
        others: What else each epoch logs as it ends.
        error: Raised in the second batch.
    """

    epoch: Tensor

    def __init__(
        self,
        scores: Sequence[float] = (),
        others: Sequence[Mapping[str, float]] = (),
        error: BaseException | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("epoch", torch.tensor(-1))
        self.scores, self.others, self.error = scores, others, error

    def on_train_epoch_start(self) -> None:
        self.epoch.fill_(self.current_epoch)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        if self.error is not None and batch_idx == 1:
            raise self.error
        return self.weight.sum() + 0.25

    def on_train_epoch_end(self) -> None:
        if self.others:
            self.log_dict(dict(self.others[self.current_epoch]))

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        if self.scores:
            self.log("val/acc", torch.tensor(self.scores[self.current_epoch]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def train_dataloader(self) -> DataLoader[Any]:
        return _loader(BATCHES)

    def val_dataloader(self) -> DataLoader[Any]:
        return _loader(1)


def _loader(batches: int) -> DataLoader[Any]:
    # With a generator of its own, since each iterator draws a seed, from the global one by default.
    return DataLoader([torch.zeros(1)] * batches, generator=torch.Generator())  # type: ignore[arg-type]


def scripted_trainer(folder: Path, *callbacks: Callback, epochs: int, **options: Any) -> L.Trainer:
    """Return a trainer with these callbacks and none of Lightning's."""
    return L.Trainer(
        **{
            **TRAINER_DEFAULTS,
            "default_root_dir": folder,
            "callbacks": list(callbacks),
            "max_epochs": epochs,
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
            "enable_progress_bar": False,
            **options,
        }
    )
