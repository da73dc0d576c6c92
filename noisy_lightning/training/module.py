"""The LightningModule of all methods that train within one fit."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast, final

import lightning as L
import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from noisy_lightning import compat
from noisy_lightning.backbones import ResNet18
from noisy_lightning.backbones.classifier import Body
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, RobustLoss
from noisy_lightning.methods import EpochContext, Method, Problem, Standard
from noisy_lightning.methods.parts.inference import evaluating
from noisy_lightning.methods.parts.ranks import gather
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.training.metrics import TestMetrics, ValidationMetrics
from noisy_lightning.types import Batch, Step

_SET_IN_EVERY_STEP = (compat.RUNNING_HOOK, "last_step")


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Name the key of the configuration in an error of what is built, unless it names one itself."""
    try:
        yield
    except ValueError as error:
        raise InputError(str(error) if str(error).startswith("model.") else f"{key}: {error}") from error


@final
class NoisyClassifier(L.LightningModule):
    """Trains a method on given labels; evaluates it against given and true ones.

    Logs, per epoch, `val/loss` and `val/acc` against the given labels of the validation part, and `val/acc_true`
    where true labels are known, for display only. In a test, `test/loss`, `test/acc` and `test/acc_class/<k>`, and the
    same under `test_<name>` for each further test set of the data. What a method has in `networks` is measured, too,
    under names that end in theirs, as `val_<network>/acc`. It trains on a `NoisyDataModule`.

    Args:
        num_classes: K; the command line takes it from the data.
        in_channels: C; the command line takes it from the data.
        num_samples: N, the size of the original training set; the command line takes it from the data.
        backbone: Class of the network, called with (num_classes, in_channels).
        loss: What one sample costs.
        method: How the network is trained.
        optimizer: Class of the optimizer, called with the method's parameters. Of SGD, Adam and AdamW the fused
            implementation, which takes half the time, unless `foreach` or `fused` is given.
        lr_scheduler: Class of a scheduler that steps once per epoch, called with the optimizer. CosineAnnealingLR with
            T_max 0 spans the whole training.
        frozen_epochs: Epochs, >= 0, in which all of a network but its classifier stays as it is, batch statistics
            included: a warm-up for pretrained weights. Several devices need the strategy
            ddp_find_unused_parameters_true.
        body_lr: Learning rate of all but the classifier, > 0, as a factor of the optimizer's.
        l1_decay: δ >= 0 of a penalty δ·Σ|θ| on all weights, as active negative losses ask for; its gradient counts in
            gradient clipping.
        channels_last: Whether images and weights lie in memory with the channel last: faster for convolutions.
        compile: Whether torch.compile compiles the network, by its default mode. Slower on a CPU; on a GPU worth a try
            where kernels take longer to run than to launch, which ResNet-18 does not on an H100 at batches of 128.

    Raises:
        InputError: A value is out of its range.
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
        frozen_epochs: int = 0,
        body_lr: float = 1.0,
        l1_decay: float = 0.0,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        for name, value in {"frozen_epochs": frozen_epochs, "l1_decay": l1_decay}.items():
            if not value >= 0:
                raise InputError(f"model.{name} must be at least 0, got {value}")
        if not body_lr > 0:
            raise InputError(f"model.body_lr must be above 0, got {body_lr} (model.frozen_epochs keeps the body fixed)")
        self.frozen_epochs, self.body_lr, self.l1_decay = frozen_epochs, body_lr, l1_decay
        self.num_classes, self.num_samples, self.channels_last = num_classes, num_samples, channels_last
        networks: list[nn.Module] = []

        def make_backbone() -> nn.Module:
            with _naming("model.backbone"):
                network = backbone(num_classes, in_channels)
            if channels_last:
                network = network.to(memory_format=torch.channels_last)
            if compile:
                network.compile()
            networks.append(network)
            return network

        self.loss = loss or CrossEntropy()
        with _naming("model.method"):
            self.method = method(Problem(make_backbone, self.loss, num_classes, num_samples))
        # All ranks write the same to what is remembered of samples: it need not be sent in every step.
        memories = (name for name, part in self.named_modules() if isinstance(part, SampleMemory))
        compat.leave_out_of_ddp(self, (f"{name}.values" for name in memories))
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self._bodies = [body for network in networks if (body := Body(network)).parameters]  # not an average of others
        self.last_step: Step | None = None
        self._learning_rate = 0.0
        self.loaded_epoch = 0  # that of the weights that a checkpoint brought
        self._validation: dict[str, ValidationMetrics] = {}
        self._tests: list[dict[str, TestMetrics]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; past torch's search for parameters where that happens in every step."""
        if name in _SET_IN_EVERY_STEP:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        """Have the training batches made of the samples, and in as many views, as the method takes."""
        if stage == "fit":
            self._data().views = self.method.views
            if self.method.uses_candidates:
                self._data().train_on_candidates()

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K) for images (B, C, H, W)."""
        return self._logits(self.method, image)

    @compat.with_ready_signature
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Let the method take a step; its per-sample losses stay in `last_step` for whoever records them."""
        image = batch.image if self.channels_last else batch.image.contiguous()
        self.last_step = self.method.step(image, batch.label, batch.index)
        return self.last_step.loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Add the gradient of the L1 penalty."""
        if self.l1_decay:
            for weight in self.method.parameters():
                if weight.grad is not None:
                    weight.grad.add_(weight.detach().sign(), alpha=self.l1_decay)

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

    def on_train_start(self) -> None:
        """Freeze where the training starts frozen, be it in the middle of an epoch."""
        if self.current_epoch < self.frozen_epochs:
            for body in self._bodies:
                body.freeze()

    def on_train_epoch_start(self) -> None:
        """Thaw when it is time, and tell the method."""
        if 0 < self.frozen_epochs == self.current_epoch:
            for body in self._bodies:
                body.thaw()
        self.method.on_epoch_start(self._context())

    def on_train_epoch_end(self) -> None:
        """Tell the method, and log what it has to say and the learning rate."""
        self.method.on_epoch_end(self._context())
        values = {f"method/{name}": value for name, value in self.method.scalars().items()}
        # Not what the optimizer has now: the scheduler has stepped already.
        self._log({"lr": self._learning_rate, **values})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer of the method's parameters and its scheduler."""
        self._check_strategy()
        try:
            optimizer = self.optimizer(self._parameter_groups())
        except ValueError as error:
            raise InputError(f"model.optimizer: {error}") from error
        for group in optimizer.param_groups[1:]:
            group["lr"] *= self.body_lr
        if self.device.type in ("cpu", "cuda"):
            compat.fuse(optimizer)
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": scheduler.monitor}}
        if isinstance(scheduler, CosineAnnealingLR) and scheduler.T_max == 0:
            compat.span(scheduler, self.trainer.max_epochs or 0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler}}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the epoch that the weights come from: a test belongs there.

        Raises:
            InputError: They were trained on other labels, those of another class of data sets.
        """
        data = self._data()
        if not compat.keeps_state_of(checkpoint, data):
            # Lightning has a data set compare its labels with those of its own class only.
            states = (state for state in checkpoint.values() if isinstance(state, dict) and "noise_hash" in state)
            data.load_state_dict(next(states, {"noise_hash": "unknown"}))
        self.loaded_epoch = checkpoint["epoch"]

    def on_validation_epoch_start(self) -> None:
        """Begin to measure each network."""
        self._validation = {f"val{name}": ValidationMetrics().to(self.device) for name in self._networks()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of the validation part."""
        for network, metrics in zip(self._networks().values(), self._validation.values(), strict=True):
            logits = self._logits(network, batch.image)
            metrics.update(self.loss(logits, batch.label), logits, batch.label, batch.true_label)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured."""
        self._log_metrics(self._validation)

    def on_test_epoch_start(self) -> None:
        """Begin to measure each network on each test set."""
        sets = ("test", *(f"test_{name}" for name in self._data().test_sets))
        self._tests = [
            {f"{name}{network}": TestMetrics(self.num_classes).to(self.device) for network in self._networks()}
            for name in sets
        ]

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure a batch of test images against their true labels."""
        for network, metrics in zip(self._networks().values(), self._tests[dataloader_idx].values(), strict=True):
            logits = self._logits(network, batch.image)
            metrics.update(self.loss(logits, batch.true_label), logits, batch.true_label)

    def on_test_epoch_end(self) -> None:
        """Log what was measured."""
        epoch = self.loaded_epoch if self.trainer.testing else None
        for metrics in self._tests:
            self._log_metrics(metrics, epoch)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return `index` (B,), `label` (B,), `true_label` (B,) and `probability` (B, K)."""
        probability = self(batch.image).float().softmax(1)
        return {
            "index": batch.index,
            "label": batch.label,
            "true_label": batch.true_label,
            "probability": probability,
        }

    def _check_strategy(self) -> None:
        """Refuse to freeze where DistributedDataParallel would wait for gradients that never come."""
        if self.frozen_epochs and compat.waits_for_all_gradients(self.trainer.strategy):
            raise InputError("model.frozen_epochs needs --trainer.strategy ddp_find_unused_parameters_true here")

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Return all weights as one group, or the classifiers' before the bodies' where these learn at another rate."""
        weights = list(self.method.parameters())
        if self.body_lr == 1:
            return [{"params": weights}]
        bodies = {weight for body in self._bodies for weight in body.parameters}
        return [{"params": [weight for weight in weights if (weight in bodies) == slow]} for slow in (False, True)]

    def _context(self) -> EpochContext:
        data = self._data()
        labels = torch.full_like(data.labels, -1)
        labels[data.train_indices] = data.epoch_labels(self.current_epoch)[data.train_indices]
        candidates: Tensor | None = None
        if data.candidate_indices is not None:
            candidates = torch.zeros_like(data.is_clean)
            candidates[data.candidate_indices] = self.method.uses_candidates
        epochs = self.trainer.max_epochs or 0
        return EpochContext(self.current_epoch, epochs, labels, self._predict, candidates, data.estimated_noise_rate)

    def _data(self) -> NoisyDataModule:
        return cast(NoisyDataModule, self.trainer.datamodule)  # type: ignore[attr-defined]

    @torch.no_grad()
    def _predict(self, network: nn.Module, augmented: bool = False, index: Tensor | None = None) -> Tensor:
        """Pass the training part, or some of it, through a network; see `Predict`."""
        served_index, output = [], []
        # Epochs beyond the last: the draws are not those of any epoch of the training.
        epoch = self.current_epoch + (self.trainer.max_epochs or 0)
        with evaluating(network):
            for served in self._data().training_part(epoch, augmented, index):
                batch: Batch = self.trainer.strategy.batch_to_device(served)
                with self.trainer.precision_plugin.forward_context():
                    output.append(self._logits(network, batch.image).float())
                served_index.append(batch.index)
        positions, outputs = gather(torch.cat(served_index)).cpu(), gather(torch.cat(output)).cpu()
        if index is not None:
            return outputs[positions.argsort()][index.argsort().argsort()]
        everything = outputs.new_full((self.num_samples, *outputs.shape[1:]), math.nan)
        everything[positions] = outputs
        return everything

    def _networks(self) -> dict[str, nn.Module]:
        """Return what is evaluated, by the end of the names of its metrics: the method's choice has none."""
        return {"": self.method, **{f"_{name}": network for name, network in self.method.networks().items()}}

    def _logits(self, network: nn.Module, image: Tensor) -> Tensor:
        logits: Tensor = network(image if self.channels_last else image.contiguous())
        return logits

    def _log_metrics(self, metrics: Mapping[str, ValidationMetrics | TestMetrics], epoch: int | None = None) -> None:
        values = {f"{name}/{key}": value for name, kind in metrics.items() for key, value in kind.compute().items()}
        self._log(values, epoch)

    def _log(self, values: dict[str, Any], epoch: int | None = None) -> None:
        """Log values that are the same on all ranks, with an epoch on the x axis: the current one by default.

        In a fit, the loggers get them from here: Lightning would want the epoch as a metric called `step`, which then
        stood in the names of checkpoints in place of the step. Outside, it returns what it logs, and must log itself.
        """
        epoch = self.current_epoch if epoch is None else epoch
        fits = self.trainer.state.fn == TrainerFn.FITTING
        self.log_dict(values, logger=False if fits else None, **compat.EQUAL_ON_ALL_RANKS)
        if not fits:
            compat.log_evaluation_at(self.trainer, epoch)
        elif not self.trainer.sanity_checking:
            numbers = {name: torch.as_tensor(value, dtype=torch.float32).item() for name, value in values.items()}
            for logger in self.trainer.loggers:
                logger.log_metrics(numbers, step=epoch)
                logger.save()
