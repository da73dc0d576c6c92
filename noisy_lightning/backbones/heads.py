"""Classifiers of features."""

from itertools import pairwise
from typing import final

from torch import Tensor, nn

from noisy_lightning.errors import InputError


@final
class Linear(nn.Module):
    """A linear classifier of features, which begins at the same logit for every class.

    Args:
        num_classes: number of classes K.
        in_channels: number of features D.
        dropout: probability with which a feature is dropped, in [0, 1).

    Raises:
        ValueError: if it is out of range.
    """

    def __init__(self, num_classes: int, in_channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        last = nn.Linear(in_channels, num_classes)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Flatten(), _dropout(dropout), last)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of features (B, D, 1, 1)."""
        check_features(image)
        logits: Tensor = self.layers(image)
        return logits


@final
class MLP(nn.Module):
    """A classifier of features with hidden layers.

    Args:
        num_classes: number of classes K.
        in_channels: number of features D.
        hidden: widths of the hidden layers, each with batch normalization, ReLU and dropout.
        dropout: probability with which an output of a hidden layer is dropped, in [0, 1).

    Raises:
        ValueError: if a value is out of range.
    """

    def __init__(
        self, num_classes: int, in_channels: int, hidden: list[int] | None = None, dropout: float = 0.5
    ) -> None:
        super().__init__()
        widths = [in_channels, *([512] if hidden is None else hidden)]
        if min(widths) < 1:
            raise ValueError(f"hidden must be widths of at least 1, got {hidden}")
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(), _dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of features (B, D, 1, 1)."""
        check_features(image)
        logits: Tensor = self.layers(image)
        return logits


def check_features(image: Tensor) -> None:
    """Check that a network of features gets some.

    Raises:
        InputError: These are images.
    """
    if image.shape[2:] != (1, 1):
        height, width = image.shape[2:]
        raise InputError(f"it takes features, as the data set Embedded has them, and got images of {height}×{width}")


def _dropout(probability: float) -> nn.Module:
    if not 0 <= probability < 1:
        raise ValueError(f"dropout must be in [0, 1), got {probability}")
    return nn.Dropout(probability)
