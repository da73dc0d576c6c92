"""Self-adaptive training (SAT): Huang, Zhang and Zhang, NeurIPS 2020."""

from typing import final

from torch import Tensor

from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.ranks import weighted_mean
from noisy_lightning.methods.parts.target_correction import TargetCorrection
from noisy_lightning.types import Step


@final
class SelfAdaptiveTraining(TargetCorrection):
    """One network that moves the targets toward its own predictions, and weights samples by how sure their target is.

    For `correction_epoch` epochs it trains on the given labels. From then on each step first updates the targets of its
    samples, t ← α·t + (1 − α)·p, where p are the network's probabilities without gradient and t starts as the one-hot
    given label. It then minimizes Σ w·loss(t) / Σ w over the whole batch, with w = max_k t_k. Where label and
    predictions disagree, w falls before it rises again for the new class. `SelfEnsembleLabelCorrection` is the same
    without weights.

    Recorded are the losses on the given labels, and as `kept` w, which is 1 before the correction.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper.
        correction_epoch: First epoch >= 0, counted from 0, that corrects; 60 of 200 in the paper.
        momentum: α in [0, 1]; 0.9 in the paper.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    def __init__(self, problem: Problem, correction_epoch: int = 60, momentum: float = 0.9) -> None:
        super().__init__(problem, correction_epoch, momentum)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Move the targets, then train on them by their weights."""
        logits = self.backbone(image)
        target = self.move_targets(logits, index)
        weights = target.amax(1)
        return Step(weighted_mean(self.loss(logits, target), weights), self.loss(logits, label), logits, weights)
