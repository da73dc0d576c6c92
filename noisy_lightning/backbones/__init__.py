"""Networks from images (B, C, H, W) to logits (B, K)."""

from noisy_lightning.backbones.active_passive import EightLayerCNN, FourLayerCNN
from noisy_lightning.backbones.heads import MLP, Linear
from noisy_lightning.backbones.jocor import SevenLayerCNN, TwoLayerMLP
from noisy_lightning.backbones.lenet import LeNet
from noisy_lightning.backbones.lora import LoRA
from noisy_lightning.backbones.mnist_cnn import MNISTCNN
from noisy_lightning.backbones.nine_layer import NineLayerCNN
from noisy_lightning.backbones.plain import PlainCNN
from noisy_lightning.backbones.preact_resnet import PreActResNet18
from noisy_lightning.backbones.resnet import ResNet18, ResNet34, ResNet50
from noisy_lightning.backbones.resnet32 import ResNet32
from noisy_lightning.backbones.small import SmallCNN
from noisy_lightning.backbones.timm import Timm
from noisy_lightning.backbones.vgg import VGG19BN
from noisy_lightning.backbones.wide_resnet import WideResNet

__all__ = [
    "MLP",
    "MNISTCNN",
    "VGG19BN",
    "EightLayerCNN",
    "FourLayerCNN",
    "LeNet",
    "Linear",
    "LoRA",
    "NineLayerCNN",
    "PlainCNN",
    "PreActResNet18",
    "ResNet18",
    "ResNet32",
    "ResNet34",
    "ResNet50",
    "SevenLayerCNN",
    "SmallCNN",
    "Timm",
    "TwoLayerMLP",
    "WideResNet",
]
