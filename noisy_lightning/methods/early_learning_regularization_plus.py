"""ELR+, early-learning regularization of two networks: Liu, Niles-Weed, Razavian and Fernandez-Granda, NeurIPS 2020."""

import math
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.early_learning_regularization import clamped_probabilities, early_learning
from noisy_lightning.methods.parts.mean_teacher import MeanTeacher
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.ranks import batch_mean, gather
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.soft_targets import moved, share_contradicted
from noisy_lightning.types import Step


@final
class EarlyLearningRegularizationPlus(Method):
    """Two networks that train on mixed images, each held to what an averaged copy of the other predicted so far.

    As `EarlyLearningRegularization`, with these additions. The targets of a network are moving averages of what the
    other network's averaged copy predicts for the image as it is. The network itself gets images that are mixed with
    others of the batch, s·x_i + (1 − s)·x_j, with labels and targets mixed alike. Here s is the larger of l and 1 − l
    for a draw l from Beta(α, α), one for each network and batch, and j comes from a permutation of the batch. The
    momentum of the averaged copies rises from 0.7 % of `momentum` to all of it, by exp(−5·(1 − step / ramp_steps)²).

    The mean of both networks' logits is evaluated, as the authors do, not that of the averaged copies. Recorded are the
    mean loss and the mean logits of the two averaged copies, since they see the images unmixed.

    Deviations: both networks step on the same batches at the same time, with one optimizer. The authors train each for
    an epoch in turn, and each has its own order of samples. The averaged copies here average batch statistics too, and
    use them; the authors' copies use those of the current batch. They start as copies of the networks; the authors'
    start from weights of their own, which makes hardly any difference after the first step.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper.
        beta: β in [0, 1) of the targets; 0.7 for symmetric noise on CIFAR-10 and 0.9 for CIFAR-100 in the authors'
            configurations, from which the following values come too.
        strength: λ >= 0 of the regularizer; 3 for symmetric noise on CIFAR-10, 7 for CIFAR-100.
        mixup: α >= 0; 1 for CIFAR. 0: images are not mixed.
        momentum: In [0, 1), of the averaged copies in the end; 0.997.
        ramp_steps: Optimizer steps >= 0 in which the momentum rises; 40,000 of 78,000. A run with fewer warns.
        strength_ramp_steps: Optimizer steps >= 0 in which λ rises in the same way; 0 for CIFAR-10, 40,000 for
            CIFAR-100.
        refine_labels: Whether the mixed label is multiplied by the mixed target and divided by the sum, as in the
            authors' code for 100 classes.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    seed: Tensor
    """(), int64: seeds all mixing, together with the number of the batch."""
    batches: Tensor
    """(), int64: batches so far."""
    steps: Tensor
    """(), int64: optimizer steps so far."""
    contradicted: Tensor
    """(), share of the training samples whose target prefers another class than the given one; mean of both."""

    def __init__(
        self,
        problem: Problem,
        beta: float = 0.7,
        strength: float = 3.0,
        mixup: float = 1.0,
        momentum: float = 0.997,
        ramp_steps: int = 40_000,
        strength_ramp_steps: int = 0,
        refine_labels: bool = False,
    ) -> None:
        super().__init__()
        check_range("beta", beta, "[0, 1)")
        check_range("momentum", momentum, "[0, 1)")
        for name, value in {"strength": strength, "mixup": mixup}.items():
            check_range(name, value, "[0, inf)")
        for name, value in {"ramp_steps": ramp_steps, "strength_ramp_steps": strength_ramp_steps}.items():
            check_range(name, value, "[0, inf)")
        problem.require_soft_targets()
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.first_average, self.second_average = MeanTeacher(self.first), MeanTeacher(self.second)
        self.first_targets = SampleMemory(problem.num_samples, problem.num_classes)
        self.second_targets = SampleMemory(problem.num_samples, problem.num_classes)
        self.loss, self.num_classes = problem.loss, problem.num_classes
        self.beta, self.strength, self.mixup, self.momentum = beta, strength, mixup, momentum
        self.ramp_steps, self.strength_ramp_steps = ramp_steps, strength_ramp_steps
        self.refine_labels = refine_labels
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("contradicted", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        """Return the mean of both networks' logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = (self.first(image) + self.second(image)) / 2
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return each network."""
        return {"first": self.first, "second": self.second}

    def scalars(self) -> dict[str, Tensor]:
        """Return `contradicted`, the share of the given labels that the targets contradict."""
        return {"contradicted": self.contradicted}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return how long momentum and λ rise."""
        ramps = {"ramp_steps": self.ramp_steps, "strength_ramp_steps": self.strength_ramp_steps}
        return {name: steps / context.steps_per_epoch for name, steps in ramps.items()}

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Update each network's targets by the other's average, then train both on mixtures of the whole batch."""
        random = np.random.default_rng([int(self.seed), int(self.batches)])
        self.batches.add_(1)
        strength = self.strength * ramp(int(self.steps) + 1, self.strength_ramp_steps)
        by_first, by_second = self.first_average(image), self.second_average(image)
        everyone, images = gather(index), gather(image)
        given = F.one_hot(gather(label), self.num_classes).float()
        loss = torch.zeros((), device=image.device)
        for network, targets, predicted in (
            (self.first, self.first_targets, by_second),
            (self.second, self.second_targets, by_first),
        ):
            targets.write(index, moved(targets.read(index), log_probabilities(predicted).exp(), self.beta))
            mixup = Mixup(index, everyone, self.mixup, random)
            logits = network(mixup.of(images))
            target, label_target = mixup.of(targets.read(everyone)), mixup.of(given)
            if self.refine_labels:
                label_target = refined(label_target, target)
            regularizer = early_learning(clamped_probabilities(logits), target)
            loss = loss + batch_mean(self.loss(logits, label_target) + strength * regularizer)
        losses = (self.loss(by_first, label) + self.loss(by_second, label)) / 2
        return Step(loss, losses, (by_first + by_second) / 2)

    def on_step_end(self) -> None:
        """Let the averages follow."""
        self.steps.add_(1)
        momentum = self.momentum * ramp(int(self.steps) + 1, self.ramp_steps)  # one ahead, as in the authors' code
        self.first_average.update(self.first, momentum)
        self.second_average.update(self.second, momentum)

    def on_epoch_end(self, context: EpochContext) -> None:
        """Compare the targets with the given labels."""
        memories = self.first_targets, self.second_targets
        shares = [share_contradicted(memory.values, context.labels) for memory in memories]
        self.contradicted.copy_((shares[0] + shares[1]) / 2)


def refined(label: Tensor, target: Tensor) -> Tensor:
    """Return label · target (B, K), normalized; the label where they have no class in common."""
    product = label * target
    norm = product.sum(1, keepdim=True)
    return torch.where(norm > 0, product / norm, label)


def ramp(current: int, length: int) -> float:
    """Return exp(−5·(1 − current / length)²), which rises to 1 at `length`; 1 if that is 0."""
    return math.exp(-5 * (1 - current / length) ** 2) if current < length else 1.0
