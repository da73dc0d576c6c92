"""Early-learning regularization (ELR): Liu, Niles-Weed, Razavian and Fernandez-Granda, NeurIPS 2020."""

from typing import ClassVar, final

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.soft_targets import moved, share_contradicted
from noisy_lightning.types import Step

# Bounds of a probability, as in the authors' code, so that 1 − ⟨t, p⟩ stays above 0.
_LOW, _HIGH = 1e-4, 1 - 1e-4


@final
class EarlyLearningRegularization(OneNetwork):
    """One network that is held to what it predicted early on, before it began to memorize wrong labels.

    Each sample has a target t (K,), a moving average of what the network predicted for it. It is 0 at first, and each
    step updates it with its probabilities p, t ← β·t + (1 − β)·p, before it is used. The method minimizes the mean of

        loss + λ·log(1 − ⟨t, p⟩),

    whose gradient, through p only, drives p toward t. Where t agrees with the label, the sample still counts; where t
    contradicts the label, it works against the gradient of the label. As in the authors' code, p is clamped to
    [1e-4, 1 − 1e-4], and normalized once more for the average.

    Recorded are the losses without the regularizer, for comparison with other methods.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        beta: β in [0, 1); in the authors' configurations 0.7 for symmetric noise on CIFAR-10 and 0.9 for asymmetric
            noise and for CIFAR-100.
        strength: λ >= 0; in these configurations 3 for symmetric noise on CIFAR-10, 1 for asymmetric noise, 7 for
            CIFAR-100.

    Raises:
        ValueError: A value is out of range.
    """

    weighs_classes: ClassVar[bool] = True

    contradicted: Tensor
    """(), share of the training samples whose target prefers another class than the given one."""

    def __init__(self, problem: Problem, beta: float = 0.7, strength: float = 3.0) -> None:
        check_range("beta", beta, "[0, 1)")
        check_range("strength", strength, "[0, inf)")
        super().__init__(problem)
        self.beta, self.strength = beta, strength
        self.targets = SampleMemory(problem.num_samples, problem.num_classes)
        self.register_buffer("contradicted", torch.zeros(()))

    def scalars(self) -> dict[str, Tensor]:
        """Return `contradicted`, the share of the given labels that the targets contradict."""
        return {"contradicted": self.contradicted}

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Update the targets, then add the regularizer; every sample takes part."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        p = clamped_probabilities(logits)
        self.targets.write(index, moved(self.targets.read(index), p / p.sum(1, keepdim=True), self.beta))
        regularizer = early_learning(p, self.targets.read(index))
        return Step(batch_mean(self.weighted(losses + self.strength * regularizer, label)), losses, logits)

    def on_epoch_end(self, context: EpochContext) -> None:
        """Compare the targets with the given labels."""
        self.contradicted.copy_(share_contradicted(self.targets.values, context.labels))


def clamped_probabilities(logits: Tensor) -> Tensor:
    """Return the softmax (B, K) of logits (B, K) in float32 or better, with no class certain or impossible."""
    return logits.softmax(1, dtype=torch.promote_types(logits.dtype, torch.float32)).clamp(_LOW, _HIGH)


def early_learning(p: Tensor, target: Tensor) -> Tensor:
    """Return log(1 − ⟨t, p⟩) (B,) of probabilities (B, K) and targets (B, K)."""
    return (1 - (target * p).sum(1)).log()
