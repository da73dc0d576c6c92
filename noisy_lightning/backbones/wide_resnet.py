"""Wide residual networks: Zagoruyko and Komodakis, BMVC 2016."""

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1)
        same = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))
        shortcut: Tensor = self.shortcut(x)
        return residual + shortcut


@final
class WideResNet(nn.Module):
    """Wide residual network for small images, as SLN (Chen et al. 2021) trained it: WRN-28-2, 1.5 million parameters.

    Deviations from Zagoruyko and Komodakis, which SLN's published figures rest on: convolutions have biases, a
    block's second convolution has the stride, shortcuts start before the first activation, weights start with
    PyTorch's defaults, and the last batch norm has momentum 0.9, so that its statistics are nearly the last
    batch's. Dropout is left out, as it was there.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        depth: number of layers, 6n + 4 and at least 10.
        widen_factor: how many times as wide as a ResNet, at least 1: 10 with depth 28 is WRN-28-10, 36.5 million
            parameters, which generates instance-dependent noise.
    """

    def __init__(self, num_classes: int, in_channels: int, depth: int = 28, widen_factor: int = 2) -> None:
        super().__init__()
        if depth < 10 or (depth - 4) % 6:
            raise ValueError(f"depth must be 6n + 4 and at least 10, got {depth}")
        if widen_factor < 1:
            raise ValueError(f"widen_factor must be in [1, inf), got {widen_factor}")
        channels = 16
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, 3, padding=1)]
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for position in range((depth - 4) // 6):
                layers.append(_Block(channels, width * widen_factor, 1 if position else stride))
                channels = width * widen_factor
        layers += [nn.BatchNorm2d(channels, momentum=0.9), nn.ReLU(inplace=True)]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logits
