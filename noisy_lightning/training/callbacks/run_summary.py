"""What a run was given and what came out of it, beside its checkpoints."""

import time
from typing import Any, cast, final

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.loading.loader import BatchLoader
from noisy_lightning.data.manifest import write_manifest
from noisy_lightning.runs.environment import device_name, git_commit, peak_memory, versions
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.summary import of_the_end
from noisy_lightning.training.callbacks.checkpoints import BestCheckpoint
from noisy_lightning.training.callbacks.divergence import Divergence
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks
from noisy_lightning.training.callbacks.transition import transition_error, transition_of
from noisy_lightning.training.module import NoisyClassifier


@final
@without_idle_step_hooks
class RunSummary(L.Callback):
    """Writes the noise files when a run starts and `result.json` when it has come to its end.

    Args:
        run: Where they go.
        oracle: Whether what the run monitors may use true labels.
    """

    def __init__(self, run: RunFolder, oracle: bool = False) -> None:
        self.run, self.oracle = run, oracle
        self._seconds = 0.0
        self._images = 0
        self._peak_memory = 0
        self._started = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the noise files."""
        self._started = time.monotonic()
        if trainer.is_global_zero:
            data = _data(trainer)
            write_manifest(self.run.path, data.noise_summary(), data.label_table())
            if self._is_oracle(trainer, pl_module):
                self._mark(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep time, so that a resumed run knows how long it took in all."""
        now = time.monotonic()
        self._seconds += now - self._started
        self._started = now
        self._images += self._served(trainer)
        self._peak_memory = max(self._peak_memory, peak_memory(trainer.strategy.root_device) or 0)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the result; an interrupted run does not come here."""
        self.write(trainer, pl_module)

    def write(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the result, to which belongs what has been measured of the same weights meanwhile.

        Raises:
            FileNotFoundError: The folder has been deleted.
        """
        if not trainer.is_global_zero:
            return
        self.run.check_there()
        result = self._result(trainer, pl_module)

        def with_measured(before: dict[str, Any]) -> dict[str, Any]:
            both = dict(result)
            for command in ("test", "validate"):
                own = {name: values for name, values in before.get(command, {}).items() if "epoch" in values}
                if kept := of_the_end(result, own):
                    both[command] = kept
            return both

        self.run.update_result(with_measured)

    def state_dict(self) -> dict[str, Any]:
        """Return seconds, images and most memory so far."""
        return {"seconds": self._seconds, "images": self._images, "peak_memory": self._peak_memory}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on."""
        self._seconds, self._images = state_dict["seconds"], state_dict["images"]
        self._peak_memory = state_dict.get("peak_memory", 0)  # which older checkpoints lack

    def _served(self, trainer: L.Trainer) -> int:
        """Return how many images an epoch has, which Trainer options may cut short."""
        schedule = cast(BatchLoader, trainer.train_dataloader).batches.schedule
        batches = int(trainer.num_training_batches)
        return schedule.count if batches == len(schedule) else batches * schedule.batch_size

    def _is_oracle(self, trainer: L.Trainer, pl_module: L.LightningModule) -> bool:
        """Return whether training, method or selection know what only an experiment knows of the true labels."""
        module = cast(NoisyClassifier, pl_module)
        informed = module.gradient is not None and module.gradient.oracle
        return self.oracle or informed or module.method.oracle or _data(trainer).selected_by_oracle

    def _mark(self, trainer: L.Trainer) -> None:
        """Say so where the curves are shown, too."""
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_text("oracle", "This run knew what only an experiment knows of the true labels.")

    def _result(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        noise = _data(trainer).noise_summary()
        last = {name: value.item() for name, value in trainer.callback_metrics.items()}
        return {
            "run": str(self.run.path),
            "epochs": trainer.current_epoch,
            "last_epoch": last,
            "best_epoch": _best(trainer),
            "validation": _data(trainer).validation,
            "oracle": self._is_oracle(trainer, pl_module),
            **({"diverged": found} if (found := _divergence(trainer)) else {}),
            "noise": noise.headline(),
            "transition": _transition(trainer, pl_module),
            "dataset": noise.dataset,
            "class_names": list(_data(trainer).class_names),
            "test_set": _data(trainer).has_test_set,
            "mean": list(_data(trainer).augmentation.mean),
            "std": list(_data(trainer).augmentation.std),
            "parameters": sum(one.numel() for one in cast(NoisyClassifier, pl_module).method.parameters()),
            "seconds": round(self._seconds, 2),
            "images_per_second": round(self._images / self._seconds, 1) if self._seconds else None,
            "peak_memory_mib": self._peak_memory or None,  # where the system does not say
            "hardware": {
                "device": str(trainer.strategy.root_device),
                "name": device_name(trainer.strategy.root_device),
                "devices": trainer.world_size,
                "threads": torch.get_num_threads(),
                "precision": str(trainer.precision),
            },
            "versions": versions(),
            "git_commit": git_commit(),
        }


def _data(trainer: L.Trainer) -> NoisyDataModule:
    return cast(NoisyDataModule, trainer.datamodule)  # type: ignore[attr-defined]


def _transition(trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any] | None:
    """Return the transition matrix that the method came to, where it has one, and how far it is from the true one."""
    matrix, data = transition_of(pl_module), _data(trainer)
    if matrix is None:
        return None
    return {
        "estimated": [[round(share, 6) for share in row] for row in matrix.tolist()],
        "mean_absolute_error": transition_error(matrix, data.labels, data.true_labels),
    }


def _divergence(trainer: L.Trainer) -> dict[str, Any] | None:
    """Return where the run diverged, if it did and has gone on."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.found for callback in callbacks if isinstance(callback, Divergence)), None)


def _best(trainer: L.Trainer) -> dict[str, Any] | None:
    """Return the epoch chosen on noisy validation, where there was one."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, BestCheckpoint) and callback.epoch >= 0:
            return {"epoch": callback.epoch, callback.monitor: callback.score}
    return None
