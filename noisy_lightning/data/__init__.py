"""Images, given labels, and the batches made of them."""

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.loading.recipes import (
    AugMix,
    AutoAugment,
    ColorJitter,
    CropFlip,
    Cutout,
    FixMatchAugment,
    NoAugmentation,
    PerImage,
    RandAugment,
    RandomResizedCrop,
    Recipe,
    TrivialAugment,
)
from noisy_lightning.data.noise.class_conditional import (
    Asymmetric,
    LabelNoise,
    NoNoise,
    PairFlip,
    Symmetric,
    TransitionMatrix,
)
from noisy_lightning.data.noise.instance_noise import InstanceDependent, PartDependent, PolynomialMargin
from noisy_lightning.data.noise.label_file import LabelFile
from noisy_lightning.data.noise.open_set import OpenSet
from noisy_lightning.data.noise.trained_scores import TrainedScores
from noisy_lightning.data.sets.arrays import ImageArrays
from noisy_lightning.data.sets.cifar import CIFAR10, CIFAR100
from noisy_lightning.data.sets.clothing1m import Clothing1M
from noisy_lightning.data.sets.digits import Digits
from noisy_lightning.data.sets.embedded import Embedded
from noisy_lightning.data.sets.folders import ImageFolder
from noisy_lightning.data.sets.from_dataset import FromDataset
from noisy_lightning.data.sets.hugging_face import HuggingFaceFolder
from noisy_lightning.data.sets.mnist import MNIST
from noisy_lightning.data.sets.table import ImageTable

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Asymmetric",
    "AugMix",
    "AutoAugment",
    "Clothing1M",
    "ColorJitter",
    "CropFlip",
    "Cutout",
    "Digits",
    "Embedded",
    "FixMatchAugment",
    "FromDataset",
    "HuggingFaceFolder",
    "ImageArrays",
    "ImageFolder",
    "ImageTable",
    "InstanceDependent",
    "LabelFile",
    "LabelNoise",
    "NoAugmentation",
    "NoNoise",
    "NoisyDataModule",
    "OpenSet",
    "PairFlip",
    "PartDependent",
    "PerImage",
    "PolynomialMargin",
    "RandAugment",
    "RandomResizedCrop",
    "Recipe",
    "Symmetric",
    "TrainedScores",
    "TransitionMatrix",
    "TrivialAugment",
]
