"""Test accuracy after every epoch."""

from itertools import islice
from typing import cast, final

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.inference import evaluating
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks
from noisy_lightning.training.module import NoisyClassifier


@final
@without_idle_step_hooks
class TestCurve(Checkpoint):  # Lightning runs checkpoints last: the method has closed the epoch by then
    """Logs after every epoch what a test of the weights of that moment would: `test/acc` and the like.

    Of `limit_test_batches`, too.

    It draws no random number, so that weights and records are the same without it.
    """

    __test__ = False  # not for pytest

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Have the test images loaded.

        Raises:
            InputError: There are none.
        """
        data = _data(trainer)
        if not data.has_test_set:
            raise InputError("test_every_epoch must be false: there is no test set")
        data.setup("test")

    @torch.no_grad()
    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure all test sets and log it for this epoch."""
        module = cast(NoisyClassifier, pl_module)
        with evaluating(module):
            module.on_test_epoch_start()
            for number, loader in enumerate(_data(trainer).test_dataloader()):
                for step, batch in enumerate(islice(loader, _count(trainer.limit_test_batches, len(loader)))):
                    with trainer.precision_plugin.forward_context():
                        module.test_step(trainer.strategy.batch_to_device(batch), step, number)
            module.on_test_epoch_end()


def _count(limit: float, batches: int) -> int:
    """Return how many batches a test takes: a whole number of them, or a share."""
    return limit if isinstance(limit, int) else int(limit * batches)


def _data(trainer: L.Trainer) -> NoisyDataModule:
    return cast(NoisyDataModule, trainer.datamodule)  # type: ignore[attr-defined]
