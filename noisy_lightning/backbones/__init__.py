"""Networks from images (B, C, H, W) to logits (B, K)."""

from noisy_lightning.backbones.resnet import ResNet18, ResNet34
from noisy_lightning.backbones.small import SmallCNN
from noisy_lightning.backbones.timm import Timm

__all__ = ["ResNet18", "ResNet34", "SmallCNN", "Timm"]
