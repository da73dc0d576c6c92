"""Targets that start as the given labels and then move toward what the network predicts, as in SAT and SELC."""

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.soft_targets import given_targets, moved, share_contradicted


class TargetCorrection(OneNetwork):
    """A method whose samples have targets t ← α·t + (1 − α)·p, moved in each step once the correction has begun.

    Here p are the network's probabilities without gradient, and t starts as the one-hot given label.

    Args:
        problem: The task; any loss that takes soft targets.
        correction_epoch: First epoch >= 0, counted from 0, in which targets move.
        momentum: α in [0, 1].

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    momentum_now: Tensor
    """(), α in the current epoch: 1 before the correction."""
    relabelled: Tensor
    """(), share of the training samples whose target prefers another class than the given one."""

    def __init__(self, problem: Problem, correction_epoch: int, momentum: float) -> None:
        check_range("correction_epoch", correction_epoch, "[0, inf)")
        check_range("momentum", momentum, "[0, 1]")
        problem.require_soft_targets()
        super().__init__(problem)
        self.correction_epoch, self.momentum = correction_epoch, momentum
        self.targets = SampleMemory(problem.num_samples, problem.num_classes, fill=1 / problem.num_classes)
        self.register_buffer("momentum_now", torch.ones(()))
        self.register_buffer("relabelled", torch.zeros(()))

    def scalars(self) -> dict[str, Tensor]:
        """Return `relabelled`, the share of the given labels that were overruled."""
        return {"relabelled": self.relabelled}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when targets begin to move."""
        return {"correction_epoch": self.correction_epoch + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Start from the given labels, and begin to correct them when it is time."""
        if context.epoch <= self.correction_epoch:
            self.targets.values.copy_(given_targets(context.labels, self.targets.values.shape[1]))
        self.momentum_now.fill_(1 if context.epoch < self.correction_epoch else self.momentum)

    def on_epoch_end(self, context: EpochContext) -> None:
        """Compare the targets with the given labels."""
        self.relabelled.copy_(share_contradicted(self.targets.values, context.labels))

    def move_targets(self, logits: Tensor, index: Tensor) -> Tensor:
        """Move the targets of samples (B,) toward what their logits (B, K) say, and return them, (B, K)."""
        probabilities = log_probabilities(logits).exp()
        self.targets.write(index, moved(self.targets.read(index), probabilities, self.momentum_now))
        return self.targets.read(index)
