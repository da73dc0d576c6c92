"""Stands in for data sets that tests may not download: few random images of the right shape and class balance."""

from pathlib import Path

import pytest
import torch

from noisy_lightning.data import CIFAR10, MNIST, datamodule
from noisy_lightning.data.augment import seeded_generator
from noisy_lightning.data.sources import Source

COUNT = 60
# What makes any configuration a matter of seconds.
QUICK: tuple[str, ...] = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.devices", "1")
QUICK += ("--trainer.precision", "32-true", "--data.batch_size", "30")


def fabricate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give CIFAR-10 and MNIST fabricated images for the length of a test."""

    def loader(shape: tuple[int, int, int]) -> "type[object]":
        def load(root: Path, train: bool) -> Source:
            random = seeded_generator("fabricated", train)
            images = torch.randint(0, 256, (COUNT, *shape), dtype=torch.uint8, generator=random)
            return Source(images, torch.arange(COUNT) % 10)

        return load  # type: ignore[return-value]

    for name, dataset in {"cifar10": CIFAR10, "mnist": MNIST}.items():
        monkeypatch.setattr(datamodule, f"fetch_{name}", lambda root, download: None)
        monkeypatch.setattr(datamodule, f"load_{name}", loader(dataset.image_shape))
