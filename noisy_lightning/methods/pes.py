"""PES, progressive early stopping: Bai, Yang, Han, Yang, Li, Mao, Niu and Liu, NeurIPS 2021."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import weighted_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.semi_supervised import class_balance, confident
from noisy_lightning.methods.parts.tail_retraining import Tail, TailRetraining
from noisy_lightning.types import Step


@final
class PES(OneNetwork):
    """One network whose early layers learn longer from all labels than its late ones, which memorize sooner.

    After `warm_up` epochs on all given labels, T₁, the network is stopped part by part:

    1. Its last stage and its classifier get new weights and are trained alone, on all labels, for `stage_epochs`, T₂.
    2. Its classifier gets new weights again, other ones, and is trained alone for `classifier_epochs`, T₃.

    Both use Adam at `retraining_lr`. From then on the whole network learns, by the optimizer of the run, from confident
    samples, chosen anew before each epoch: those whose given label has the largest mean probability of two weakly
    augmented views. The loss is Σ w·CE / Σ w over the confident samples of a batch, with a weight w for each class: the
    mean number of confident samples of a class divided by the number of this one.

    The last stage of a network is its `layer4` or the last of its `stages`, by these names, as ResNets of torchvision
    and most networks of timm have them. A network without such names has its classifier trained in both phases.

    Recorded are all losses and logits; and as `kept` whether a sample is confident. `confident` is logged, the share of
    these.

    Deviations. The authors' T₂ + T₃ epochs fill one epoch of their schedule, here each is an epoch of the run: both
    the length of a run and later steps of the learning rate grow by T₂ + T₃ − 1. The authors' optimizer never holds the
    renewed layers, which then stay as they were after their phase; here they go on learning, as the paper has it. Until
    then, the optimizer has gradients of 0, by which its momentum fades. New weights are those that a new network has,
    which for pretrained ones are pretrained but for the classifier. The authors draw batches of confident samples; here
    a batch is any samples, and the others of it are seen by batch normalization alone. An epoch has as many steps as
    before.

    Guards: where no sample is confident, all are for an epoch, with a warning. A batch without any teaches nothing. A
    gradient of the tail that is not finite is left out.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        warm_up: T₁ >= 0; 25 for CIFAR-10 and 30 for CIFAR-100 in the paper.
        stage_epochs: T₂ >= 0; 7.
        classifier_epochs: T₃ >= 0; 5.
        retraining_lr: Learning rate > 0 of Adam; 1e-4.

    Raises:
        ValueError: A value is out of range.
    """

    share: Tensor
    """(), of the training part: confident."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 25,
        stage_epochs: int = 7,
        classifier_epochs: int = 5,
        retraining_lr: float = 1e-4,
    ) -> None:
        for name, value in {"warm_up": warm_up, "stage_epochs": stage_epochs}.items():
            check_range(name, value, "[0, inf)")
        check_range("classifier_epochs", classifier_epochs, "[0, inf)")
        check_range("retraining_lr", retraining_lr, "(0, inf)")
        super().__init__(problem)
        self.num_classes, self.warm_up = problem.num_classes, warm_up
        phases: list[tuple[Tail, int]] = [("stage", stage_epochs), ("classifier", classifier_epochs)]
        self.retraining = TailRetraining(self.backbone, phases, problem.make_backbone, retraining_lr)
        self.weights = SampleMemory(problem.num_samples, fill=1.0)
        self.register_buffer("share", torch.ones(()))

    @property
    def depends_on_length(self) -> bool:
        """Whether augmented predictions are used: yes."""
        return True

    def scalars(self) -> dict[str, Tensor]:
        """Return `confident`, the share of the samples that are learned from."""
        return {"confident": self.share}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when confident samples are first learned from."""
        return {"warm_up": self.warm_up + self.retraining.length + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Give a tail new weights, or find the confident samples."""
        epoch = context.epoch - self.warm_up
        self.retraining.on_epoch_start(self.backbone, epoch)
        if epoch < self.retraining.length:
            return
        found = confident(context, self.backbone)
        self.share.copy_(found.sum() / (context.labels >= 0).sum())
        weights = class_balance(context.labels[found], self.num_classes)
        self.weights.values.copy_(weights[context.labels.clamp(min=0)] * found)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train a tail or all of the network."""
        if self.retraining.active:
            return self.retraining.step(self.backbone, self.loss, image, label)
        logits = self.backbone(image)
        losses, weights = self.loss(logits, label), self.weights.read(index)
        return Step(weighted_mean(losses, weights), losses, logits, weights > 0)

    def on_step_end(self) -> None:
        """Let only the tail change, while it is retrained."""
        self.retraining.on_step_end(self.backbone)
