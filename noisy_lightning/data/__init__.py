"""Images, given labels, and the batches made of them."""

from noisy_lightning.data.cifar import CIFAR10, CIFAR100
from noisy_lightning.data.clothing1m import Clothing1M
from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.digits import Digits
from noisy_lightning.data.folders import ImageFolder
from noisy_lightning.data.instance_noise import InstanceDependent, PartDependent, PolynomialMargin
from noisy_lightning.data.label_file import LabelFile
from noisy_lightning.data.mnist import MNIST
from noisy_lightning.data.noise import Asymmetric, LabelNoise, NoNoise, PairFlip, Symmetric, TransitionMatrix
from noisy_lightning.data.open_set import OpenSet
from noisy_lightning.data.table import ImageTable
from noisy_lightning.data.trained_scores import TrainedScores

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Asymmetric",
    "Clothing1M",
    "Digits",
    "ImageFolder",
    "ImageTable",
    "InstanceDependent",
    "LabelFile",
    "LabelNoise",
    "NoNoise",
    "NoisyDataModule",
    "OpenSet",
    "PairFlip",
    "PartDependent",
    "PolynomialMargin",
    "Symmetric",
    "TrainedScores",
    "TransitionMatrix",
]
