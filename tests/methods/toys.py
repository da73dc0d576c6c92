"""A problem small enough for loops: points in the plane, in double precision."""

import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, RobustLoss
from noisy_lightning.methods import EpochContext, Problem

B, BATCHES, K = 10, 3, 3
N = B * BATCHES


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, K)).double()


def problem(loss: RobustLoss | None = None) -> Problem:
    return Problem(network, loss or CrossEntropy(), num_classes=K, num_samples=N)


def points() -> tuple[Tensor, Tensor]:
    """Return (N, 2) points around three centres and their labels, of which some are wrong."""
    random = torch.Generator().manual_seed(3)
    labels = torch.arange(N) % K
    centres = torch.tensor([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]], dtype=torch.float64)
    images = centres[labels] + 0.3 * torch.randn(N, 2, generator=random, dtype=torch.float64)
    labels[::4] = (labels[::4] + 1) % K
    return images, labels


def context(epoch: int) -> EpochContext:
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None) -> Tensor:
        raise AssertionError("no pass over the training part is needed")

    return EpochContext(epoch, 10, points()[1], predict)


def batches(epoch: int) -> tuple[Tensor, ...]:
    order: Tensor = torch.randperm(N, generator=torch.Generator().manual_seed(epoch))
    return tuple(order.view(BATCHES, B))
