"""ResNet-32 for small images: Chen, Liao, Chen and Zhang, ICML 2019."""

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)  # Keras's defaults, in PyTorch's terms


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, stride, 1),
            _norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1),
            _norm(channels),
        )
        widens = in_channels != channels
        self.shortcut = (
            nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride), _norm(channels)) if widens else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.residual(x) + self.shortcut(x))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


@final
class ResNet32(nn.Module):
    """ResNet-32 for small images, as INCV (Chen et al. 2019) trained it in Keras: 468 thousand parameters.

    Weights start, and batch norm averages, with Keras's defaults. Deviation: a convolution with stride 2 pads both
    sides by one pixel, where Keras pads the far side only. The study's L2 penalty is the optimizer's business.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        channels = 16
        layers: list[nn.Module] = [
            nn.Conv2d(in_channels, channels, 3, padding=1),
            _norm(channels),
            nn.ReLU(inplace=True),
        ]
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for position in range(5):
                layers.append(_Block(channels, width, 1 if position else stride))
                channels = width
        self.features = nn.Sequential(*layers).apply(_initialize)
        self.classifier = nn.Linear(channels, num_classes).apply(_initialize)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logits
