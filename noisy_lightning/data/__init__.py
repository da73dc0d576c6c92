"""Images, given labels, and the batches made of them."""

from noisy_lightning.data.datamodule import CIFAR10, CIFAR100, MNIST, Digits, NoisyDataModule
from noisy_lightning.data.instance_noise import InstanceDependent, PartDependent, PolynomialMargin
from noisy_lightning.data.label_file import LabelFile
from noisy_lightning.data.noise import Asymmetric, LabelNoise, NoNoise, PairFlip, Symmetric, TransitionMatrix

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Asymmetric",
    "Digits",
    "InstanceDependent",
    "LabelFile",
    "LabelNoise",
    "NoNoise",
    "NoisyDataModule",
    "PairFlip",
    "PartDependent",
    "PolynomialMargin",
    "Symmetric",
    "TransitionMatrix",
]
