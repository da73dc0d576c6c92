"""Stands in for data sets that tests may not download: few random images of the right shape and class balance."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from noisy_lightning.data import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Clothing1M,
    ImageFolder,
    ImageTable,
    NoisyDataModule,
)
from noisy_lightning.data.loading.augment import seeded_generator
from noisy_lightning.data.noise import label_file
from noisy_lightning.data.noise.label_columns import Labels
from noisy_lightning.data.sets.file_data import FileDataModule, Listing, Listings
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.jobs import processes

COUNT, TESTED = 60, 10  # images to train on and to test on
# What makes any configuration a matter of seconds. A fifth for validation is one image per class even of half of COUNT.
QUICK: tuple[str, ...] = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.devices", "1")
QUICK += ("--trainer.precision", "32-true", "--data.batch_size", "15", "--data.val_fraction", "0.2")


# What makes photographs small.
SMALL_PHOTOGRAPHS = ("--data.image_size", "32", "--data.crop_margin", "2")
# What makes the looks of a frozen network short.
SMALL_LOOKS = ("--data.network.image_size", "32")
SMALL_FEATURES = ("--data.data.image_size", "32", *SMALL_LOOKS)


def quickly(config: Path) -> tuple[str, ...]:
    """Return what makes a configuration for `clean` a matter of seconds."""
    text = config.read_text()
    looks = (SMALL_FEATURES if "ImageFolder" in text else SMALL_LOOKS) if "Embedded" in text else ()
    once = ("--selector.iterations", "1") if "iterations:" in text else ()
    epochs = ("--selector.epochs", "1") if "\nselector:" in text else ()
    return (*QUICK, *epochs, *once, *looks)


def clothing1m(data: Clothing1M) -> Listings:
    """Write few images to the data set's root and list them: the last ten are trusted."""
    data.root.mkdir(parents=True, exist_ok=True)
    names = [f"{number}.png" for number in range(COUNT)]
    for number, name in enumerate(names):
        Image.new("RGB", (8, 8), (4 * number, 0, 0)).save(data.root / name)
    labels, trusted = torch.arange(COUNT) % 10, torch.arange(COUNT) >= COUNT - 10
    train = Listing(data.root, names, labels, labels.where(trusted, -1), None, trusted)
    return Listings([str(label) for label in range(10)], train, Listing(data.root, names, labels, labels))


def my_images(list_files: Callable[[Any], Listings]) -> Callable[[Any], Listings]:
    """Return a function that lists images of one's own, and writes few to their root before that if there are none.

    They are in both layouts, a folder per class and a table that lists the same files.
    """

    def write_and_list(data: FileDataModule) -> Listings:
        lines = ["path,label,true_label,split"]
        for split, count in (("train", COUNT), ("test", 10)) if not data.root.exists() else ():
            for number in range(count):
                path = data.root / f"{split}/class_{number % 10}/{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 10), (4 * number, 0, 0)).save(path)
                lines.append(f"{path.relative_to(data.root)},class_{number % 10},,{split}")
        if len(lines) > 1:
            (data.root / "labels.csv").write_text("\n".join(lines) + "\n")
        return list_files(data)

    return write_and_list


def enough(config: Path) -> int:
    """Return how many images leave some of each class to train on, whatever a configuration holds out."""
    held_out: float = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]["init_args"].get("val_fraction", 0)
    return max(COUNT, round(20 / (1 - held_out)))


def fabricate(monkeypatch: pytest.MonkeyPatch, count: int = COUNT) -> None:
    """Replace all data sets that need files, and all label files, for the length of a test: ten classes everywhere.

    Args:
        monkeypatch: Of the test.
        count: Images of CIFAR and MNIST, and labels in a file; of fewer than 60, a tenth rounds to none per class.
    """

    def loader(shape: tuple[int, int, int]) -> "type[object]":
        def load(root: Path, train: bool, coarse: bool = False) -> Source:
            random = seeded_generator("fabricated", train)
            size = count if train else TESTED
            images = torch.randint(0, 256, (size, *shape), dtype=torch.uint8, generator=random)
            return Source(images, torch.arange(size) % 10)

        return load  # type: ignore[return-value]

    datasets: dict[str, type[NoisyDataModule]] = {"cifar10": CIFAR10, "cifar100": CIFAR100, "mnist": MNIST}
    for name, dataset in datasets.items():
        monkeypatch.setattr(f"{dataset.__module__}.fetch_{name}", lambda root, download: None)
        monkeypatch.setattr(f"{dataset.__module__}.load_{name}", loader(dataset.image_shape))
        monkeypatch.setattr(dataset, "num_samples", count)
    monkeypatch.setattr(Clothing1M, "list_files", clothing1m)
    # Other processes would have the real ones.
    monkeypatch.setattr(processes, "START", "fork")
    for own in (ImageFolder, ImageTable):
        monkeypatch.setattr(own, "list_files", my_images(own.list_files))
    true = torch.arange(count) % 10
    monkeypatch.setattr(label_file, "read_labels", lambda path, column: Labels(true.roll(1), true))
