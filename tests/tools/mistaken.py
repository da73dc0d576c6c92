"""Classes such as users write them and get them wrong: `wrong_inputs.py` names them on command lines."""

import torch
from torch import Tensor, nn

from noisy_lightning.losses import RobustLoss
from noisy_lightning.methods import Method, Problem
from noisy_lightning.types import Step


class Features(nn.Module):
    """Returns features instead of logits."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * in_channels, 16))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


class Maps(nn.Module):
    """Returns a map of logits: the pooling is missing."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layer = nn.Conv2d(in_channels, num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image)
        return logits


class Pair(Features):
    """Returns a pair."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self.layers(image), image


class Flat(nn.Module):
    """Takes vectors of another length than images have values."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(784, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image.flatten(1))
        return logits


class NoArguments(nn.Module):
    """Takes no numbers of classes and channels."""


class Weightless(nn.Module):
    """Has nothing to train."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, image: Tensor) -> Tensor:
        return image.flatten(1)[:, : self.num_classes]


class Normalized(nn.Module):
    """Normalizes one value per image and channel over the batch, which one image has no variance for."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(in_channels), nn.Flatten(), nn.Linear(in_channels, num_classes)
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


class Deep(nn.Module):
    """Halves images six times."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.MaxPool2d(2) for _ in range(6)), nn.Flatten(), nn.Linear(in_channels, num_classes)
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


class Averaging(RobustLoss):
    """Averages over the batch."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return nn.functional.cross_entropy(logits, target)


class NoStep(Method):
    """Has no step."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()


class SumStep(Method):
    """Returns one loss where one per sample belongs."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.network, self.loss = problem.make_backbone(), problem.loss

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image)
        return logits

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        logits = self.network(image)
        total = self.loss(logits, label).sum()
        return Step(total, total, logits)


def not_a_class(num_classes: int, in_channels: int) -> torch.Tensor:
    """Makes a tensor where a network belongs."""
    return torch.zeros(num_classes, in_channels)
