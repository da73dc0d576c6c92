"""Measures speed on this machine: make bench.

Everything that is compared alternates within one process, and medians are reported, since machines are shared and
noisy: trust the ratios. Images are random, of CIFAR-10's shape. A training epoch of ours is a whole one of
`noisy-lightning fit`, with recorder, TensorBoard, metrics table, checkpoint and progress bar; the bare loops do nothing
but train. The epochs that draw pictures, a handful in a run, are not among those timed.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from noisy_lightning.backbones import ResNet18, SmallCNN
from noisy_lightning.data import CIFAR10, NoisyDataModule
from noisy_lightning.data.sources import Source
from noisy_lightning.lightning_cli import run_command

BATCH = 128
Step = Callable[[Tensor, Tensor], None]


@final
class RandomImages(NoisyDataModule):
    """As many random images of CIFAR-10's shape as `count` says."""

    count = 50_000
    class_names = CIFAR10.class_names
    image_shape = CIFAR10.image_shape
    default_mean, default_std = CIFAR10.default_mean, CIFAR10.default_std
    default_padding, default_flip = CIFAR10.default_padding, CIFAR10.default_flip

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        return self.count

    def load(self, train: bool) -> Source:
        random = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (self.count, 32, 32, 3), dtype=torch.uint8, generator=random)
        return Source(images, torch.randint(0, 10, (self.count,), generator=random))


def usual_pipeline(data: RandomImages, workers: int) -> DataLoader[Any]:
    """Return torchvision's CIFAR-10 with its usual transforms, over the same images."""
    usual = object.__new__(datasets.CIFAR10)
    usual.data, usual.targets = data.source.images.numpy(), data.labels.tolist()
    usual.target_transform = None
    usual.transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.default_mean, data.default_std),
        ]
    )
    return DataLoader(usual, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0)


def bare_step(make: Callable[[], nn.Module], fast: bool) -> Step:
    """Return one training step of a new network; fast: in bf16 and channels last, as our configurations train."""
    network = make().train()
    if fast:
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step(image: Tensor, label: Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            loss = F.cross_entropy(network(image), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds(batches: Iterable[Sequence[Any]], step: Step | None = None) -> float:
    """Return how long a pass takes."""
    start = time.perf_counter()
    for image, label, *_ in batches:
        if step is not None:
            step(image, label)
    return time.perf_counter() - start


class Alternate(L.Callback):
    """Times each epoch of `fit`, and between two of them an epoch of each bare loop."""

    make: Callable[[], nn.Module]
    times: dict[str, list[float]]

    def __init__(self) -> None:
        Alternate.times = {"ours": [], "bare": [], "usual": [], "usual fp32": []}
        self.fast, self.slow = bare_step(Alternate.make, True), bare_step(Alternate.make, False)
        self.mark = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch > 1:  # the first epoch warms up, imports what the recorder needs, and draws
            self.times["ours"].append(time.perf_counter() - self.mark)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not hasattr(self, "memory"):
            self.memory, self.usual = data.train_dataloader(), usual_pipeline(data, 2)
            seconds(list(self.usual)[:4], self.slow)
        self.memory.set_epoch(trainer.current_epoch)
        self.times["bare"].append(seconds(self.memory, self.fast))
        self.times["usual"].append(seconds(self.usual, self.fast))
        self.times["usual fp32"].append(seconds(self.usual, self.slow))
        self.mark = time.perf_counter()


def measure_data(repetitions: int) -> None:
    """Print images per second of the loaders alone."""
    data = RandomImages(val_fraction=0)
    data.setup("fit")
    loaders: dict[str, Iterable[Any]] = {
        "noisy_lightning": data.train_dataloader(),
        "torchvision and PIL": usual_pipeline(data, 0),
        "torchvision and PIL, 2 workers": usual_pipeline(data, 2),
    }
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for repetition in range(repetitions + 1):
        for name, loader in loaders.items():
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(repetition)
            times[name].append(seconds(loader))
    ours = statistics.median(times["noisy_lightning"][1:])
    print(f"\n| data alone, {data.count:,} images, batch {BATCH} | images/s | ours is |\n| --- | ---: | ---: |")
    for name, measured in times.items():
        median = statistics.median(measured[1:])
        print(f"| {name} | {data.count / median:,.0f} | {median / ours:.1f} × |")


def measure_training(name: str, make: Callable[[], nn.Module], backbone: list[str], count: int, epochs: int) -> None:
    """Print images per second of training loops."""
    RandomImages.count = count
    Alternate.make = staticmethod(make)
    with tempfile.TemporaryDirectory() as folder:
        run_command(
            [
                *("fit", "--data", f"{__name__}.RandomImages", "--data.val_fraction", "0"),
                *("--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", str(BATCH)),
                *("--model.backbone", *backbone, "--model.loss", "CrossEntropy", "--model.optimizer", "SGD"),
                *("--model.optimizer.lr", "0.01", "--model.optimizer.momentum", "0.9"),
                *("--model.optimizer.weight_decay", "1e-4", "--trainer.precision", "bf16-mixed"),
                *("--trainer.max_epochs", str(epochs + 2), "--trainer.accelerator", "cpu", "--run.root", folder),
                *(f"--trainer.callbacks+={__name__}.Alternate", "--recorder.picture_epochs", "[0]"),
            ]
        )
    medians = {loop: statistics.median(values) for loop, values in Alternate.times.items()}
    paired = np.array(Alternate.times["bare"][1 : 1 + len(Alternate.times["ours"])]) / Alternate.times["ours"]
    cells = " | ".join(f"{count / medians[loop]:,.0f}" for loop in ("ours", "bare", "usual", "usual fp32"))
    slower = " | ".join(f"{medians[loop] / medians['ours']:.2f} ×" for loop in ("usual", "usual fp32"))
    print(f"| {name}, {count:,} images | {cells} | {np.median(paired):.3f} | {slower} |", flush=True)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="timed epochs of the small network")
    parser.add_argument("--only", choices=("data", "small", "resnet"), help="measure one part")
    args = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    if args.only in (None, "data"):
        measure_data(args.epochs)
    if args.only == "data":
        return
    columns: tuple[str, ...] = ("ours", "bare, same batches", "bare, usual pipeline", "usual, fp32 channels first")
    columns += ("ours / bare", "ours / usual", "ours / usual fp32")
    print(f"\n| training, images/s | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    if args.only in (None, "small"):
        measure_training("SmallCNN", lambda: SmallCNN(10, 3), ["SmallCNN"], 50_000, args.epochs)
    if args.only in (None, "resnet"):
        resnet = ["ResNet18", "--model.backbone.stem", "imagenet"]
        measure_training("ResNet-18, ImageNet stem", lambda: ResNet18(10, 3, "imagenet"), resnet, 10_000, 3)
        measure_training("ResNet-18, CIFAR stem", lambda: ResNet18(10, 3, "cifar"), ["ResNet18"], 2_560, 3)


if __name__ == "__main__":
    main()
