"""Self-ensemble label correction (SELC): Lu and He, IJCAI 2022."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.soft_targets import given_targets, moved, share_contradicted
from noisy_lightning.types import Step


@final
class SelfEnsembleLabelCorrection(Method):
    """One network that, once it has learned the right labels, moves the targets towards its own predictions.

    For `correction_epoch` epochs it trains on the given labels. From then on each step first updates the targets of its
    samples, t ← α·t + (1 − α)·p, where p are the network's probabilities without gradient and t begins as the one-hot
    given label, and then minimises the mean loss on t. The given label's own share of the target falls as α^n with the
    number n of later epochs. The authors begin before the network memorises wrong labels, in an epoch that they find
    from a training of its own on cross-entropy; this search is not part of the method here.

    Recorded are the losses on the given labels.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper.
        correction_epoch: First epoch >= 0, counted from 0, that corrects; equal to the authors' number, which counts
            from 1 and corrects beyond it. They have, for symmetric noise of 20, 40, 60 and 80 %, 40, 30, 30 and 40 on
            CIFAR-10 and 30, 20, 30 and 40 on CIFAR-100; for 40 % asymmetric noise 40 and 20.
        momentum: α in [0, 1]; 0.9 in the paper.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    momentum_now: Tensor
    """(), α in the current epoch: 1 before the correction."""
    relabelled: Tensor
    """(), share of the training samples whose target prefers another class than the given one."""

    def __init__(self, problem: Problem, correction_epoch: int = 30, momentum: float = 0.9) -> None:
        super().__init__()
        check_range("correction_epoch", correction_epoch, "[0, inf)")
        check_range("momentum", momentum, "[0, 1]")
        problem.require_soft_targets()
        self.backbone = problem.make_backbone()
        self.loss = problem.loss
        self.correction_epoch, self.momentum = correction_epoch, momentum
        self.targets = SampleMemory(problem.num_samples, problem.num_classes, fill=1 / problem.num_classes)
        self.register_buffer("momentum_now", torch.ones(()))
        self.register_buffer("relabelled", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.backbone(image)
        return logits

    def scalars(self) -> dict[str, Tensor]:
        """Return `relabelled`, the share of the given labels that were overruled."""
        return {"relabelled": self.relabelled}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Begin with the given labels, and to correct them when it is time."""
        if context.epoch <= self.correction_epoch:
            self.targets.values.copy_(given_targets(context.labels, self.targets.values.shape[1]))
        self.momentum_now.fill_(1 if context.epoch < self.correction_epoch else self.momentum)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Move the targets, then train on them; every sample takes part."""
        logits = self.backbone(image)
        probabilities = log_probabilities(logits).exp()
        self.targets.write(index, moved(self.targets.read(index), probabilities, self.momentum_now))
        return Step(batch_mean(self.loss(logits, self.targets.read(index))), self.loss(logits, label), logits)

    def on_epoch_end(self, context: EpochContext) -> None:
        """Compare the targets with the given labels."""
        self.relabelled.copy_(share_contradicted(self.targets.values, context.labels))
