"""Pre-activation residual networks: He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016."""

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        same = stride == 1 and in_channels == channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(x))
        residual: Tensor = self.conv2(F.relu(self.norm2(self.conv1(x))))
        shortcut: Tensor = self.shortcut(x)
        return residual + shortcut


@final
class PreActResNet18(nn.Module):
    """Pre-activation ResNet-18 for small images, as DivideMix and ELR+ trained it: 11.2 million parameters.

    Deviations from He et al., which their published figures rest on: every shortcut starts after the block's first
    activation, and the first convolution, not the last block, is followed by batch norm and ReLU.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C; images are 8×8 or larger.
    """

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(
            *(_Block(64, 64, 1), _Block(64, 64, 1)),
            *(_Block(64, 128, 2), _Block(128, 128, 1)),
            *(_Block(128, 256, 2), _Block(256, 256, 1)),
            *(_Block(256, 512, 2), _Block(512, 512, 1)),
        )
        self.classifier = nn.Linear(512, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.classifier(self.blocks(self.stem(image)).mean((2, 3)))
        return logits
