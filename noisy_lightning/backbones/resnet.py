"""Residual networks: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016."""

from typing import Literal, final

from torch import Tensor, nn
from torchvision import models

Stem = Literal["cifar", "imagenet"]


def _with_stem(network: models.ResNet, in_channels: int, stem: Stem) -> models.ResNet:
    if stem not in ("cifar", "imagenet"):
        raise ValueError(f"stem must be 'cifar' or 'imagenet', got {stem!r}")
    if stem == "cifar":
        network.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    else:
        network.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's own
    return network


@final
class ResNet18(nn.Module):
    """ResNet-18 by torchvision, untrained: 11.2 million parameters.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        stem: "cifar" keeps the resolution at first (3×3 convolution), as is usual for 32×32 images; "imagenet"
            divides it by 4 (7×7 with stride 2, then max pooling), a fifteenth of the arithmetic, and is meant for
            images of 224×224. Ouellette and Mahmoud (2023) fed it 32×32.
    """

    def __init__(self, num_classes: int, in_channels: int, stem: Stem = "cifar") -> None:
        super().__init__()
        self.network = _with_stem(models.resnet18(num_classes=num_classes), in_channels, stem)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.network(image)
        return logits


@final
class ResNet34(nn.Module):
    """ResNet-34 by torchvision, untrained: 21.3 million parameters.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        stem: "cifar" keeps the resolution at first (3×3 convolution), as is usual for 32×32 images; "imagenet"
            divides it by 4 (7×7 with stride 2, then max pooling), a fifteenth of the arithmetic, and is meant for
            images of 224×224.
    """

    def __init__(self, num_classes: int, in_channels: int, stem: Stem = "cifar") -> None:
        super().__init__()
        self.network = _with_stem(models.resnet34(num_classes=num_classes), in_channels, stem)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.network(image)
        return logits


@final
class ResNet50(nn.Module):
    """ResNet-50 by torchvision, untrained: 23.5 million parameters.

    The code of CDR and VolMinNet, of the same size, does not pad the first convolution, which leaves 30×30 of 32×32
    pixels; that of "Normalized Loss Functions" (Ma et al. 2020) has this network for CIFAR-100, its paper ResNet-34.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        stem: "cifar" keeps the resolution at first (3×3 convolution), as is usual for 32×32 images; "imagenet"
            divides it by 4 (7×7 with stride 2, then max pooling), a fifteenth of the arithmetic, and is meant for
            images of 224×224, as in WebVision of the papers on losses.
    """

    def __init__(self, num_classes: int, in_channels: int, stem: Stem = "cifar") -> None:
        super().__init__()
        self.network = _with_stem(models.resnet50(num_classes=num_classes), in_channels, stem)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.network(image)
        return logits
