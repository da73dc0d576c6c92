"""The LightningModule of all methods that train within one fit."""

from collections.abc import Callable
from typing import Any, final

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchmetrics.classification import MulticlassAccuracy

from noisy_lightning.backbones import ResNet18
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, RobustLoss
from noisy_lightning.methods import Method, Problem, Run, Standard
from noisy_lightning.metrics import SampleMean
from noisy_lightning.types import Batch, Step


@final
class NoisyClassifier(L.LightningModule):
    """Trains a method on given labels; evaluates it against given and true ones.

    Logs, per epoch, `val/loss` and `val/acc` against the given labels of the validation part, and `val/acc_true`
    where true labels are known, for display only. In a test, `test/loss`, `test/acc` and `test/acc_class/<k>`.

    Args:
        num_classes: K; the command line takes it from the data.
        in_channels: C; the command line takes it from the data.
        num_samples: N, the size of the original training set; the command line takes it from the data.
        backbone: Class of the network, called with (num_classes, in_channels).
        loss: What one sample costs.
        method: How the network is trained.
        optimizer: Class of the optimizer, called with the method's parameters.
        lr_scheduler: Class of a scheduler that steps once per epoch, called with the optimizer. CosineAnnealingLR with
            T_max 0 spans the whole training.
        channels_last: Whether images and weights lie in memory with the channel last: faster for convolutions.
        compile: Whether torch.compile compiles the network; worth its minutes on a GPU, slower on a CPU.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_samples: int,
        backbone: Callable[[int, int], nn.Module] = ResNet18,
        loss: RobustLoss | None = None,
        method: Callable[[Problem], Method] = Standard,
        optimizer: OptimizerCallable = torch.optim.SGD,
        lr_scheduler: LRSchedulerCallable | None = None,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.channels_last = channels_last

        def make_backbone() -> nn.Module:
            network = backbone(num_classes, in_channels)
            if channels_last:
                network = network.to(memory_format=torch.channels_last)
            if compile:
                network.compile()
            return network

        self.loss = loss or CrossEntropy()
        self.method = method(Problem(make_backbone, self.loss, num_classes, num_samples))
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.last_step: Step | None = None
        self._learning_rate = 0.0

        self.val_loss, self.val_acc, self.val_acc_true = SampleMean(), SampleMean(), SampleMean()
        self.test_loss, self.test_acc = SampleMean(), SampleMean()
        self.test_accuracy_per_class = MulticlassAccuracy(num_classes, average=None)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; past torch's search for parameters where Lightning does so 46 times a step."""
        if name in ("_current_fx_name", "last_step"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K) for images (B, C, H, W)."""
        logits: Tensor = self.method(image if self.channels_last else image.contiguous())
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Let the method take a step; its per-sample losses stay in `last_step` for whoever records them."""
        image = batch.image if self.channels_last else batch.image.contiguous()
        self.last_step = self.method.step(image, batch.label, batch.index)
        return self.last_step.loss

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step, then let the method follow up."""
        self._learning_rate = optimizer.param_groups[0]["lr"]
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.method.on_step_end()

    def on_train_epoch_start(self) -> None:
        """Tell the method."""
        self.method.on_epoch_start(self._run())

    def on_train_epoch_end(self) -> None:
        """Tell the method, and log the learning rate."""
        self.method.on_epoch_end(self._run())
        # Not what the optimizer has now: the scheduler has stepped already.
        self._log({"lr": self._learning_rate})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer of the method's parameters and its scheduler."""
        try:
            optimizer = self.optimizer(self.method.parameters())
        except ValueError as error:
            raise InputError(f"model.optimizer: {error}") from error
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": scheduler.monitor}}
        if isinstance(scheduler, CosineAnnealingLR) and scheduler.T_max == 0:
            scheduler.T_max = self._run().max_epochs
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler}}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of the validation part."""
        logits = self(batch.image)
        predicted = logits.argmax(1)
        self.val_loss.update(self.loss(logits, batch.label))
        self.val_acc.update(predicted == batch.label)
        self.val_acc_true.update(predicted == batch.true_label, counted=batch.true_label >= 0)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured."""
        self._log_means({"val/loss": self.val_loss, "val/acc": self.val_acc, "val/acc_true": self.val_acc_true})

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of test images against their true labels."""
        logits = self(batch.image)
        self.test_loss.update(self.loss(logits, batch.true_label))
        self.test_acc.update(logits.argmax(1) == batch.true_label)
        self.test_accuracy_per_class.update(logits, batch.true_label)

    def on_test_epoch_end(self) -> None:
        """Log what was measured."""
        self._log_means({"test/loss": self.test_loss, "test/acc": self.test_acc})
        per_class = self.test_accuracy_per_class.compute()
        self.test_accuracy_per_class.reset()
        self._log({f"test/acc_class/{k}": value for k, value in enumerate(per_class)})

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return `index` (B,), `label` (B,), `true_label` (B,) and `probability` (B, K)."""
        probability = self(batch.image).float().softmax(1)
        return {
            "index": batch.index,
            "label": batch.label,
            "true_label": batch.true_label,
            "probability": probability,
        }

    def _run(self) -> Run:
        return Run(self.current_epoch, self.trainer.max_epochs or 0)

    def _log_means(self, means: dict[str, SampleMean]) -> None:
        values = {name: mean.compute() for name, mean in means.items()}
        for mean in means.values():
            mean.reset()
        self._log({name: mean for name, (mean, count) in values.items() if count})

    def _log(self, values: dict[str, Any]) -> None:
        """Log values that are the same on all ranks, with the epoch on the x axis."""
        # Lightning takes a metric named step for the axis. The two switches together mean: neither synchronise nor
        # warn. A synchronised metric would wait for the other ranks wherever one reads trainer.callback_metrics.
        self.log_dict({**values, "step": float(self.current_epoch)}, sync_dist=True, rank_zero_only=True)
