"""What a run is, before its first step."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast, final

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from noisy_lightning.data import NoisyDataModule
from noisy_lightning.runs.environment import device_name
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.measures import wrong_share
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


@final
@without_idle_step_hooks
class Announcement(L.Callback):
    """Prints where a run is kept and goes on from, on what it trains, with which data, and how to watch it.

    Args:
        run: Its folder.
        checkpoint: What it goes on from; None: it is new.
    """

    def __init__(self, run: RunFolder, checkpoint: Path | None = None) -> None:
        self.run, self.checkpoint = run, checkpoint

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Print it."""
        if trainer.is_global_zero:
            rows = {"run": self._place(trainer), "device": _device(trainer), "data": _data(trainer)}
            rows["watch"] = "; ".join([*watching(trainer.loggers, self.run), str(self.run.metrics)])
            print("\n".join(f"{name:<7} {text}" for name, text in rows.items()), flush=True)

    def _place(self, trainer: L.Trainer) -> str:
        if self.checkpoint is None:
            return f"{self.run.path}, new"
        within = trainer.fit_loop.epoch_loop.batch_idx + 1
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        place = f"{epoch}, batch {within + 1}" if trainer.fit_loop.restarted_mid_epoch else epoch
        if self.checkpoint.parent == self.run.checkpoints:
            return f"continuing {self.run.path} from its last checkpoint, with {place}"
        return f"{self.run.path}, new, from {self.checkpoint}, with {place}"


def watching(loggers: Iterable[Logger], run: RunFolder) -> list[str]:
    """Return how to watch what loggers write.

    Args:
        loggers: Those of a trainer.
        run: Whose they are.
    """
    found = []
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            folder = Path(logger.log_dir)
            shown = run.path.parent.parent if folder == run.path else folder
            found.append(f"tensorboard --logdir {shlex.quote(str(shown))}")
        elif isinstance(logger, CSVLogger):
            found.append(str(Path(logger.log_dir) / "metrics.csv"))
        else:
            found.append(f"{type(logger).__name__} {logger.name}, {logger.version}")
    return found


def _device(trainer: L.Trainer) -> str:
    device = trainer.strategy.root_device
    threads = torch.get_num_threads()
    name = device_name(device) + (f", {threads} thread{'s' * (threads > 1)}" if device.type == "cpu" else "")
    count = f"{trainer.world_size} × " if trainer.world_size > 1 else ""
    return f"{count}{device.type} ({name}), precision {trainer.precision}"


def _data(trainer: L.Trainer) -> str:
    data = cast(NoisyDataModule, cast(Any, trainer).datamodule)
    noise = data.noise_summary()
    share = wrong_share(noise.realised_rate, noise.num_known)
    return (
        f"{noise.dataset}: {len(data.train_indices):,} training and {len(data.val_indices):,} validation samples of "
        f"{data.num_classes} classes; {noise.kind}: {share}{_sampling(data)}"
    )


def _sampling(data: NoisyDataModule) -> str:
    """Return what an epoch serves, where that is not all samples once."""
    if data.sampling == "natural":
        return ""
    served = data.served_counts()
    least, most = served[served > 0].aminmax()
    each = f"{least:,} of each class" if least == most else f"{least:,} to {most:,} of a class"
    return f"; {data.sampling}: {served.sum():,} samples per epoch, {each}"
