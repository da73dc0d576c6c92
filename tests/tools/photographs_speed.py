"""Measures whether reading photographs and training on them overlap: python -m tests.tools.photographs_speed.

JPEG files of 500 × 375 pixels, generated once, are decoded anew for each batch, cut at random, resized to 224 pixels
and trained on, by `noisy-lightning fit` and in parts: decoding alone (the same batches, without a network) and training
alone (one batch again and again). The three alternate within one process every few batches, and medians are reported,
since machines are shared and noisy. One process decodes and one thread trains, so that on two cores neither takes the
other's; with --device cuda, training is on a GPU, and --workers processes decode.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import timm
import torch
from PIL import Image

from noisy_lightning.cli.main import dispatch
from tests.tools.benchmark import Step, bare_step, finish

SIDES, SIZE, CLASSES, BATCH = (500, 375), 224, 2, 32
_BLOCK = 12  # batches that are timed at once
_SECONDS_OF_FILLING, _PREPARED = 1.0, 4  # what workers prepare meanwhile, and batches of it that do not count


def generate(folder: Path, count: int) -> None:
    """Write JPEG files of smooth shapes and fine grain, as photographs have them, in a folder per class."""
    random = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
            SIDES, Image.Resampling.BICUBIC
        )
        grain = random.normal(0, 6, (SIDES[1], SIDES[0], 3))
        pixels = np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)
        path = folder / f"class_{number % CLASSES}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


class InTurn(L.Callback):
    """Times `fit` for a few batches, then gives decoding alone and training alone as many."""

    network: str
    device: str
    rates: dict[str, list[float]]
    """Images per second of each block."""

    def __init__(self) -> None:
        InTurn.rates = {"fit": [], "decoding alone": [], "training alone": []}
        self.batches, self.started = 0, 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.decoding = _endless(data.train_dataloader)
        image, label = next(self.decoding)[:2]
        self.step: Step = bare_step(lambda: timm.create_model(self.network, num_classes=CLASSES), False, self.device)
        self.batch = image.contiguous(memory_format=torch.channels_last), label

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches += 1
        if self.batches == _PREPARED:
            finish()
            self.started = time.perf_counter()
        if self.batches < _PREPARED + _BLOCK:
            return
        finish()
        self._note("fit", time.perf_counter() - self.started)
        time.sleep(_SECONDS_OF_FILLING)
        self._note("decoding alone", _seconds(lambda: next(self.decoding)))
        self._note("training alone", _seconds(lambda: self.step(*self.batch)))
        time.sleep(_SECONDS_OF_FILLING)
        self.batches = 0

    def _note(self, name: str, seconds: float) -> None:
        InTurn.rates[name].append(BATCH * _BLOCK / seconds)


def _seconds(do: Callable[[], object]) -> float:
    for _ in range(_PREPARED):
        do()
    finish()
    start = time.perf_counter()
    for _ in range(_BLOCK):
        do()
    finish()
    return time.perf_counter() - start


def _endless(make: Callable[[], Any]) -> Iterator[Any]:
    for _ in itertools.count():
        yield from make()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["tf_mobilenetv3_small_minimal_100", "tf_efficientnet_lite0"])
    parser.add_argument("--files", type=int, default=1_280, help="JPEG files")
    parser.add_argument("--blocks", type=int, default=5, help="timed blocks of batches")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where training is measured")
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    print("| network | fit, images/s | decoding alone | training alone | fit / the slower of the two |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder, "images", "train"), args.files)
        for network in args.networks:
            InTurn.network, InTurn.device = network, args.device
            dispatch(
                [
                    *(
                        "fit",
                        "--data",
                        "ImageFolder",
                        "--data.root",
                        f"{folder}/images",
                        "--data.image_size",
                        str(SIZE),
                    ),
                    *("--data.cache_gib", "0", "--data.workers", str(args.workers), "--data.batch_size", str(BATCH)),
                    *("--data.val_fraction", "0", "--data.augmentation", "RandomResizedCrop"),
                    *("--model.backbone", "Timm", "--model.backbone.name", network, "--model.loss", "CrossEntropy"),
                    *("--model.optimizer", "SGD", "--model.optimizer.lr", "0.01", "--model.optimizer.momentum", "0.9"),
                    *("--trainer.precision", "32-true", "--trainer.accelerator", args.device, "--run.root", folder),
                    *("--trainer.max_epochs", "-1", "--trainer.max_steps", str((_PREPARED + _BLOCK) * args.blocks)),
                    *("--trainer.enable_progress_bar", "false", "--recorder.pictures", "false"),
                    f"--trainer.callbacks+={__name__}.InTurn",
                ]
            )
            rates = InTurn.rates
            parts = zip(rates["decoding alone"], rates["training alone"], strict=True)
            ratios = [fit / min(both) for fit, both in zip(rates["fit"], parts, strict=True)]
            shown = " | ".join(f"{statistics.median(values):,.0f}" for values in rates.values())
            print(
                f"| {network} | {shown} | {statistics.median(ratios):.2f} | <!-- n = {len(ratios)} blocks -->",
                flush=True,
            )


if __name__ == "__main__":
    main()
