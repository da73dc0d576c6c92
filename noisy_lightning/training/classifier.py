"""A classifier whose training somebody else defines: measured, saved with what it was made of, made again from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import lightning as L
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from noisy_lightning import compat
from noisy_lightning.backbones.pretrained import checkpoint_follows
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.losses import RobustLoss
from noisy_lightning.methods import Method
from noisy_lightning.training.averages import WeightAverages
from noisy_lightning.training.epoch_log import log_at_epoch
from noisy_lightning.training.metrics import TestedImages, TestMetrics, ValidationMetrics, computed
from noisy_lightning.training.specification import described, read_specification, rebuilt
from noisy_lightning.types import Batch

_SET_IN_EVERY_STEP = (compat.RUNNING_HOOK, "last_step", "learning_rate")


class Classifier(L.LightningModule, ABC):
    """Measures a method's networks on validation and test data, and carries in a checkpoint what it was made of.

    Args:
        specification: The arguments of the constructor, as `described` returns them.
        num_classes: K.
        channels_last: Whether images lie in memory with the channel last.
        test_flips: Whether logits are averaged over an image and its mirror image, but for validation.
    """

    loss: RobustLoss
    method: Method
    averages: WeightAverages

    def __init__(
        self, specification: dict[str, Any], num_classes: int, channels_last: bool, test_flips: bool = False
    ) -> None:
        super().__init__()
        self.specification, self.num_classes, self.channels_last = specification, num_classes, channels_last
        self.test_flips = test_flips
        self.loaded_epoch = 0  # that of the weights, by a checkpoint or by training
        self._validation: dict[str, ValidationMetrics] = {}
        self._tests: list[dict[str, TestMetrics]] = []

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; past torch's search for parameters where that happens in every step."""
        if name in _SET_IN_EVERY_STEP:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # no file of hyper-parameters, and never an unsafe load
        cls, checkpoint_path: str | Path, map_location: Any = None, **given: Any
    ) -> Self:
        """Return the classifier that a checkpoint holds, in evaluation mode.

        Args:
            checkpoint_path: The file.
            map_location: Device for the weights, as torch.load takes it; None: that which they were saved on.
            **given: Arguments of the constructor, by name, in place of those that the checkpoint holds: those that were
                given as objects, which it does not hold.

        Raises:
            InputError: There is no such file, or what was given as an object is not given again.
        """
        checkpoint, specification = read_specification(Path(checkpoint_path), map_location)
        with checkpoint_follows():
            model = cls(**rebuilt(cls, specification, given))
        model.specification = {**specification, **described(given)}
        model.load_state_dict(checkpoint["state_dict"])
        model.averages.put(in_place=True)
        return model.eval()

    @property
    def data(self) -> NoisyDataModule:
        """What it is trained or evaluated on.

        Raises:
            InputError: It is not a data set of this package.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, NoisyDataModule):
            raise InputError(
                "NoisyClassifier needs data that know their labels: trainer.fit(model, datamodule=data), with a data "
                "set of noisy_lightning, made of arrays by ImageArrays(images, labels), of a torch data set by "
                "FromDataset(dataset)"
            )
        return data

    def logits(self, network: nn.Module, image: Tensor) -> Tensor:
        """Return what a network makes of images (B, C, H, W)."""
        logits: Tensor = network(image if self.channels_last else image.contiguous())
        return logits

    def mirrored(self, look: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        """Return what `look` makes of images (B, C, H, W), averaged with what it makes of mirror images if asked to."""
        return (look(image) + look(image.flip(3))) / 2 if self.test_flips else look(image)

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K) for images (B, C, H, W)."""

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Return weights and what a method remembers; averages of weights stand in the place of these."""
        with self.averages.standing(in_place=True):
            return super().state_dict(*args, **options)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights and what a method remembers.

        Raises:
            InputError: They are those of another network or method.
        """
        try:
            with self.averages.standing(in_place=True):
                return super().load_state_dict(state_dict, strict, assign)
        except RuntimeError as error:
            _, *problems = (line.strip().rstrip(".") for line in str(error).splitlines())
            more = f"; and {len(problems) - 2} more" * (len(problems) > 2)
            raise InputError(
                f"the checkpoint is of another backbone, method, or number of classes or samples: "
                f"{'; '.join(problem[:300] for problem in problems[:2])}{more}"
            ) from error

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what this was made of."""
        checkpoint["hyper_parameters"] = self.specification

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the epoch that the weights come from: a test belongs there.

        Raises:
            InputError: They were trained on other labels, those of another class of data sets; or a training run cannot
                go on from them, as there is nothing else.
        """
        if self.trainer.state.fn == TrainerFn.FITTING and "optimizer_states" not in checkpoint:
            raise InputError("ckpt_path: the checkpoint holds weights only, as best.ckpt does: go on from last.ckpt")
        if not compat.keeps_state_of(checkpoint, self.data):
            # Lightning has a data set compare its labels with those of its own class only.
            states = (state for state in checkpoint.values() if isinstance(state, dict) and "noise_hash" in state)
            self.data.load_state_dict(next(states, {"noise_hash": "unknown"}))
        self.loaded_epoch = checkpoint["epoch"]

    def on_validation_epoch_start(self) -> None:
        """Begin to measure each network."""
        self._validation = {f"val{name}": ValidationMetrics().to(self.device) for name in self._names()}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch of the validation part."""
        for logits, metrics in zip(self._evaluated(batch.image), self._validation.values(), strict=True):
            metrics.update(self.loss(logits, batch.label), logits, batch.label, batch.true_label)

    def on_validation_epoch_end(self) -> None:
        """Log what was measured."""
        log_at_epoch(self, computed(self._validation))

    def on_test_epoch_start(self) -> None:
        """Begin to measure each network on each test set."""
        sets = ("test", *(f"test_{name}" for name in self.data.test_sets))
        self._tests = [
            {f"{name}{network}": TestMetrics(self.num_classes).to(self.device) for network in self._names()}
            for name in sets
        ]

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Measure a batch of test images against their true labels."""
        measured = self._tests[dataloader_idx].values()
        evaluated = self.mirrored(lambda image: torch.stack(self._evaluated(image)), batch.image)
        for logits, metrics in zip(evaluated, measured, strict=True):
            metrics.update(self.loss(logits, batch.true_label), logits, batch.true_label, batch.index)

    def on_test_epoch_end(self) -> None:
        """Log what was measured."""
        for metrics in self._tests:
            log_at_epoch(self, computed(metrics), self.loaded_epoch if self.trainer.testing else None)

    def tested(self) -> dict[str, TestedImages]:
        """Return what the method's choice made of each image in the last test, by the name of the test set."""
        return {name: metrics.seen() for name, metrics in (next(iter(one.items())) for one in self._tests)}

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return `index` (B,), `label` (B,), `true_label` (B,) and `probability` (B, K)."""
        probability = self(batch.image).float().softmax(1)
        return {name: getattr(batch, name) for name in ("index", "label", "true_label")} | {"probability": probability}

    def _names(self) -> list[str]:
        """Return the ends of the names of what is measured: the method's choice has none."""
        others = [f"_{name}" for name in self.method.networks()]
        return ["", *others, *(["_raw"] if self.averages.decay is not None else [])]

    def _evaluated(self, image: Tensor) -> list[Tensor]:
        """Return the logits (B, K) of each of them."""
        with self.averages.standing(in_place=True):
            found = [self.logits(network, image) for network in (self.method, *self.method.networks().values())]
        if self.averages.decay is not None:
            with self.averages.standing(in_place=False):
                found.append(self.logits(self.method, image))
        return found
