"""Networks for tests, named on command lines by their class path."""

from typing import final

from torch import Tensor, nn


@final
class Plain(nn.Module):
    """One hidden layer; no batch normalization and no dropout, so that a batch may be split without a trace."""

    def __init__(self, num_classes: int, in_channels: int, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(16 * in_channels, width),
            nn.Tanh(),
            nn.Linear(width, num_classes),
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


@final
class Random(nn.Module):
    """A network with what a resume can get wrong: dropout, and batch normalization with its running statistics."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, num_classes),
        )

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits
