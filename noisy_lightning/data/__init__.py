"""Images, given labels, and the batches made of them."""

from noisy_lightning.data.datamodule import CIFAR10, MNIST, Digits, NoisyDataModule
from noisy_lightning.data.noise import Asymmetric, LabelNoise, NoNoise, PairFlip, Symmetric, TransitionMatrix

__all__ = [
    "CIFAR10",
    "MNIST",
    "Asymmetric",
    "Digits",
    "LabelNoise",
    "NoNoise",
    "NoisyDataModule",
    "PairFlip",
    "Symmetric",
    "TransitionMatrix",
]
