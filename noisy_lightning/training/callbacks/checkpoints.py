"""What makes a killed and resumed run equal to an uninterrupted one."""

import math
import random
from pathlib import Path
from typing import Any, final

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from torch import distributed

from noisy_lightning import checkpoint_file, compat
from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import replacing
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


@final
@without_idle_step_hooks
class BestCheckpoint(Checkpoint):
    """Saves the weights of the best epoch, as `best.ckpt`: that of the highest validation accuracy on given labels.

    Args:
        folder: Where the file goes.
        monitor: What is compared; the first epoch wins among equals. Of what is called a loss, the lowest is best.
    """

    def __init__(self, folder: Path, monitor: str = "val/acc") -> None:
        self.path = folder / "best.ckpt"
        self.monitor = monitor
        self.sign = -1 if monitor.endswith("loss") else 1
        self.score, self.epoch = -self.sign * math.inf, -1

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save if this is the best epoch so far."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val")))
            raise InputError(f"monitor: {self.monitor} is not measured here, but {known}")
        score = trainer.callback_metrics[self.monitor].item()
        if self.sign * score > self.sign * self.score:
            self.score, self.epoch = score, trainer.current_epoch
            _save(trainer, self.path, weights_only=True)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and its epoch."""
        return {"score": self.score, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare with what an earlier process reached."""
        self.score, self.epoch = state_dict["score"], state_dict["epoch"]


@final
@without_idle_step_hooks
class LastCheckpoint(Checkpoint):
    """Saves `last.ckpt` after every epoch, and within epochs if asked.

    Lightning's `save_last` writes only when a monitored value improves, which under label noise happens early.

    Args:
        folder: Where the file goes.
        every_n_steps: Save within an epoch too, after every n steps of the optimizer; 0: at the ends of epochs only.
    """

    def __init__(self, folder: Path, every_n_steps: int = 0) -> None:
        self.path = folder / "last.ckpt"
        self.every_n_steps = every_n_steps
        if not every_n_steps:
            compat.skip_hook(self, "on_train_batch_end")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save in mid-epoch; never at the last batch, from where a resume would skip the validation."""
        done, every = batch_idx + 1, self.every_n_steps * trainer.accumulate_grad_batches
        if every and done % every == 0 and done < trainer.num_training_batches:
            _save(trainer, self.path)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, after all other callbacks have closed the epoch."""
        _save(trainer, self.path)


def _save(trainer: L.Trainer, path: Path, weights_only: bool = False) -> None:
    """Save a checkpoint; a run's folder that has been deleted meanwhile is not made again.

    Raises:
        FileNotFoundError: It has been.
    """
    path.parent.mkdir(exist_ok=True)
    trainer.save_checkpoint(path, weights_only=weights_only)


@final
@without_idle_step_hooks
class RandomState(L.Callback):
    """Carries the states of all random number generators, of every rank, in the checkpoint.

    Lightning saves none, so that a resumed run would replay the dropout of its first epoch.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all ranks; every rank has to call this."""
        state = _random_state()
        if not distributed.is_available() or not distributed.is_initialized():
            return {"ranks": [state]}
        states: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(states, state)
        return {"ranks": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up this rank's states; with another number of ranks than at the time of saving, none."""
        rank, size = 0, 1
        if distributed.is_available() and distributed.is_initialized():
            rank, size = distributed.get_rank(), distributed.get_world_size()
        if len(state_dict["ranks"]) == size:
            _set_random_state(state_dict["ranks"][rank])


def _random_state() -> dict[str, Any]:
    """Return all states as plain data, which a checkpoint can hold under weights_only."""
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [kind, keys.tolist(), *rest],  # type: ignore[union-attr]
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


@final
class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there, so that a kill leaves the old one or the new one.

    Lightning stages in the system's temporary folder, from where the move can be a copy. What is read is what was
    written, and never anything but tensors and plain data.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Save `checkpoint` at `path`."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as staged:
            checkpoint_file.write(checkpoint, staged)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Return the checkpoint at `path`.

        Raises:
            InputError: It is cut off, damaged, or holds more than tensors and plain data, whatever `weights_only` says.
        """
        return checkpoint_file.read(Path(path), map_location)
