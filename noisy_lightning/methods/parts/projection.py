"""A projection of features to the unit sphere, for contrast."""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.backbones.classifier import classifiers
from noisy_lightning.methods.parts.features import feature_width
from noisy_lightning.methods.parts.ranks import gather_with_gradient


@final
class Projection(nn.Module):
    """A linear layer and batch normalization, both trained, over the features of all ranks.

    Args:
        network: Whose features are projected; not a part of this.
        width: D of the projections.

    Raises:
        ValueError: The network does not end in a linear layer.
    """

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        dtype = next(classifiers(network)[0].parameters()).dtype
        self.linear = nn.Linear(feature_width(network), width, dtype=dtype)
        self.norm = nn.BatchNorm1d(width, dtype=dtype)

    def forward(self, features: Tensor) -> Tensor:
        """Return unit vectors (ΣB, D) of the features (B, F) of all ranks, where ΣB >= 2; B may be 0."""
        return F.normalize(self.norm(gather_with_gradient(self.linear(features))), dim=1)

    def nothing(self) -> Tensor:
        """Return 0 () with a gradient of 0 for each weight, for which several ranks wait where no one projects."""
        return torch.stack([0 * weight.sum() for weight in self.parameters()]).sum()
