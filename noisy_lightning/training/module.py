"""The LightningModule of all methods that train within one fit."""

from collections.abc import Callable
from functools import partial
from typing import Any, Self, final

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from noisy_lightning import compat
from noisy_lightning.backbones import ResNet18
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, RobustLoss
from noisy_lightning.methods import Method, Problem, Standard
from noisy_lightning.methods.base import warn_of_short_run
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.regularizers import GradientRule, Mixing
from noisy_lightning.training.averages import WeightAverages
from noisy_lightning.training.callbacks.required import require
from noisy_lightning.training.class_balance import ClassWeights, balance
from noisy_lightning.training.classifier import Classifier
from noisy_lightning.training.construction import MakeBackbone, build, made, only, paired
from noisy_lightning.training.epoch_context import epoch_context
from noisy_lightning.training.epoch_log import forget_later, log_at_epoch
from noisy_lightning.training.optimization import Bodies, add_l1_gradient, optimizer_of
from noisy_lightning.training.probe import check_step, normalize_as_pretrained, try_parts
from noisy_lightning.training.schedules import Ending, ending, go_on, scheduler_of
from noisy_lightning.training.second_pass import check_rule, ruled
from noisy_lightning.training.specification import described
from noisy_lightning.types import Batch, Step


@final
class NoisyClassifier(Classifier):
    """Trains a method on given labels; evaluates it against given and true ones.

    Logs, per epoch, `val/loss` and `val/acc` against the given labels of the validation part, and `val/acc_true`, for
    display only, where true labels are known. Tests log `test/loss`, `test/acc`, the expected calibration error
    `test/ece` and `test/acc_class/<k>`, each further test set the same under `test_<name>`, and each of a method's
    `networks` the same as `val_<network>/acc`. Loggers count epochs from 1, and have classes by name, if they are at
    most 100.

    Args:
        num_classes: K; the command line and `for_data` take it from the data.
        in_channels: C; likewise.
        num_samples: N, the size of the original training set; likewise.
        backbone: Class of the network, called with (num_classes, in_channels).
        loss: What one sample costs; LabelSmoothing is label smoothing, as is usual in fine-tuning.
        method: How the network is trained.
        class_weights: By what the loss of a sample is multiplied in training, by its given class. `balanced`: by the
            inverse of how often an epoch serves the class, so that all classes weigh the same; or K numbers, of which
            the ratios matter. They are scaled to 1 on average over an epoch, and the sum over a batch is divided by its
            number of samples: the learning rate keeps its meaning. Samples are ranked, recorded, validated and tested
            by their unweighted losses. Methods whose targets are not the given labels alone refuse it.
        mixing: Class of how the images of a batch are mixed in pairs: MixUp or CutMix. Methods that mix images
            themselves, or select or correct by single images, refuse it.
        gradient: Class of what becomes of the gradient before the optimizer steps: SAM, ASAM or CDR.
        optimizer: Class of the optimizer, called with the method's parameters. Of SGD, Adam and AdamW the fused
            implementation, which takes half the time, unless `foreach` or `fused` is given.
        lr_scheduler: Class of a scheduler, called with the optimizer. WarmupCosine spans the run: a warm-up, then a
            cosine, step by step. So do CosineAnnealingLR with T_max 0 and OneCycleLR without a length. All others step
            once per epoch, but for CyclicLR; SequentialLR has several follow each other, and any of them step with the
            optimizer.
        freeze_body_epochs: Epochs, >= 0, in which all of a network but its classifier stays as it is, batch statistics
            included: the classifier alone learns at first, for pretrained weights. Several devices need the strategy
            ddp_find_unused_parameters_true.
        body_lr_factor: Learning rate of all but the classifier, > 0, as a factor of the optimizer's.
        layer_decay: Layer-wise decay of the learning rate, in (0, 1]: each block from the classifier down has that of
            the one above it times layer_decay, the body besides times body_lr_factor. Blocks are those that timm knows
            of its networks (stem, residual or transformer blocks); of others, their layers in the order in which they
            were made, sequences being what they hold. 0.65 to 0.75 suit vision transformers; 1: none.
        ema_decay: Momentum in (0, 1) of an exponential moving average of the weights, such as 0.999; in the first steps
            less. The averaged networks are what is validated, chosen by, tested, predicted with and exported; what
            `val_raw/acc` and `test_raw/acc` are of is the network without the average. Training is the same with and
            without. None: there is no average.
        test_flips: Whether logits are averaged over an image and its mirror image where the network is used: in `test`,
            in predictions, in what is exported. Validation looks at the image alone.
        l1_decay: δ >= 0 of a penalty δ·Σ|θ| on all weights, for active negative losses; gradient clipping counts it.
        channels_last: Whether images and weights lie in memory with the channel last: faster for convolutions.
        compile: Whether torch.compile compiles the network: slower on a CPU; on a GPU worth a try where kernels take
            longer to run than to launch, which those of ResNet-18 do not on an H100 at batches of 128.

    Raises:
        InputError: A value is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_samples: int,
        backbone: MakeBackbone = ResNet18,
        loss: RobustLoss | None = None,
        method: Callable[[Problem], Method] = Standard,
        class_weights: ClassWeights | None = None,
        mixing: Callable[[], Mixing] | None = None,
        gradient: Callable[[list[nn.Module]], GradientRule] | None = None,
        optimizer: OptimizerCallable = torch.optim.SGD,
        lr_scheduler: LRSchedulerCallable | None = None,
        freeze_body_epochs: int = 0,
        body_lr_factor: float = 1.0,
        layer_decay: float = 1.0,
        ema_decay: float | None = None,
        test_flips: bool = False,
        l1_decay: float = 0.0,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__(described(given), num_classes, channels_last, test_flips)
        if not l1_decay >= 0:
            raise InputError(f"model.l1_decay must be at least 0, got {l1_decay}")
        self.num_samples, self.l1_decay = num_samples, l1_decay
        self.optimizer, self.lr_scheduler, self.class_weights = optimizer, lr_scheduler, class_weights
        self.loss = loss or CrossEntropy()
        shape = num_classes, in_channels, num_samples
        self.method, networks = build(method, backbone, self.loss, shape, channels_last, compile)
        self._bodies = Bodies(networks, freeze_body_epochs, body_lr_factor, layer_decay)
        self.averages = WeightAverages(self.method, networks, ema_decay)
        self._tried = networks[:1]
        if mixing is not None:
            self.method.pairing = paired(self.method, mixing)
        self.gradient = None if gradient is None else made("model.gradient", gradient, networks)
        # All ranks write the same to what is remembered of samples: it need not be sent in every step.
        memories = (name for name, part in self.named_modules() if isinstance(part, SampleMemory))
        compat.leave_out_of_ddp(self, (f"{name}.values" for name in memories))
        self.last_step: Step | None = None
        self._in_second_pass = False
        self._ending: Ending | None = None
        self.learning_rate = 0.0  # of the last step, of the first group of weights

    @classmethod
    def for_data(
        cls,
        data: NoisyDataModule,
        backbone: MakeBackbone | nn.Module = ResNet18,
        loss: type[RobustLoss] | RobustLoss | None = None,
        **arguments: Any,
    ) -> Self:
        """Return a classifier for a data set, whose dimensions it takes from there; the files are fetched if need be.

        Args:
            data: What to train on.
            backbone: As for the constructor; or a network, for methods that take one.
            loss: A class, or an object.
            **arguments: The others of the constructor: classes, or `functools.partial` of them.

        Example:
            >>> from noisy_lightning import Digits, backbones, losses, noise
            >>> data = Digits(noise=noise.Symmetric(0.4))
            >>> model = NoisyClassifier.for_data(data, backbones.SmallCNN, losses.SymmetricCrossEntropy)
            >>> model(data.train_images(data.train_indices[:2]).float()).shape
            torch.Size([2, 10])
        """
        if not hasattr(data, "labels"):
            data.prepare_data()
            data.setup("fit")
        make = only(backbone) if isinstance(backbone, nn.Module) else backbone
        made = loss() if isinstance(loss, type) else loss
        model = cls(data.num_classes, data.in_channels, data.num_samples, make, made, **arguments)
        model.specification |= described({"backbone": backbone, "loss": loss})
        return model

    def setup(self, stage: str) -> None:
        """Try network and loss; have batches made as pretrained weights and the method want them."""
        data = self.data
        normalize_as_pretrained(data, self._tried)
        if stage == "fit":
            self.averages.put(in_place=False)
            require(self.trainer)
            try_parts(self._tried, self.loss, data, self.channels_last, self.trainer.world_size)
            data.serve_views(self.method.views)
            if self.method.uses_candidates:
                data.train_on_candidates(self.method.uses_rejected)
            balance(self.method, data, self.class_weights)
            data.serve_companions(self.method.companions(data.train_indices))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K) for images (B, C, H, W)."""
        with self.averages.standing(in_place=True):
            return self.mirrored(partial(self.logits, self.method), image)

    @compat.with_ready_signature
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Let the method take a step; its per-sample losses stay in `last_step` for whoever records them."""
        image = batch.image if self.channels_last else batch.image.contiguous()
        if beside := batch.companion:
            self.method.companion = beside if self.channels_last else beside._replace(image=beside.image.contiguous())
        step = self.method.step(image, batch.label, batch.index)
        if self._in_second_pass:
            assert self.last_step is not None
            # The gradient is that of this pass, and the value, which Lightning hands to callbacks, of the first one.
            return step.loss - step.loss.detach() + self.last_step.loss.detach()
        self.last_step = step
        if batch_idx == 0:
            check_step(self.method, self.last_step, len(batch.label))
        return self.last_step.loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Add the gradient of the L1 penalty."""
        if self.l1_decay:
            add_l1_gradient(self.method.parameters(), self.l1_decay)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step, by the gradient that a rule makes if there is one; then let the method and the averages follow."""
        self.learning_rate = optimizer.param_groups[0]["lr"]
        if self.gradient is not None and optimizer_closure is not None:
            optimizer_closure = ruled(
                self.gradient, self.method, optimizer_closure, partial(self._take_again, optimizer_closure)
            )
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.method.on_step_end()
        self.averages.update(self.trainer.global_step)

    def _take_again(self, closure: Callable[[], Any]) -> None:
        self._in_second_pass = True
        try:
            closure()
        finally:
            self._in_second_pass = False

    def on_train_start(self) -> None:
        """Freeze where training starts frozen, be it in the middle of an epoch; set the schedule to its length."""
        self._bodies.start(self.current_epoch)
        go_on(self.trainer, self._ending)
        forget_later(self.trainer)

    def on_train_epoch_start(self) -> None:
        """Thaw when it is time, and notify the method, which may say that it is set for a longer run."""
        self._bodies.begin(self.current_epoch)
        if self.method.pairing is not None:
            self.method.pairing.begin(self.current_epoch)
        context = epoch_context(self)
        warn_of_short_run(self.method, context)
        self.method.on_epoch_start(context)

    def on_train_epoch_end(self) -> None:
        """Notify the method, and log its values and the learning rate."""
        self.loaded_epoch = self.current_epoch  # a test of these weights belongs there
        self.method.on_epoch_end(epoch_context(self))
        values = {f"method/{name}": value for name, value in self.method.scalars().items()}
        # Not what the optimizer has now: the scheduler has stepped already.
        log_at_epoch(self, {"lr": self.learning_rate, **values})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer of the method's parameters and its scheduler."""
        self._bodies.check(self.trainer.strategy)
        self.averages.check()
        if self.gradient is not None:
            check_rule(self.gradient, self.trainer)
        optimizer = optimizer_of(self.optimizer, list(self.method.parameters()), self._bodies)
        self.method.learning_rate = lambda: float(optimizer.param_groups[0]["lr"])
        if self.lr_scheduler is None:
            return optimizer
        scheduler = scheduler_of(self.lr_scheduler, optimizer, self.trainer)
        self._ending = ending(scheduler["scheduler"])  # before a checkpoint of a shorter run gives it another length
        return {"optimizer": optimizer, "lr_scheduler": scheduler}
