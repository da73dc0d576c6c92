"""Measures how fast images are augmented: python -m tests.tools.augmentation_speed.

RandAugment of random images of CIFAR-10's shape after crop and flip, normalized, in batches of 128: ours, torchvision's
(`transforms.v2`, on pictures of Pillow and on tensors, image by image, by the same number of worker processes) and
kornia's, where it is installed. Blocks of batches alternate within one process, and medians are reported, since
machines are shared and noisy: trust the ratios. Then our other recipes, as multiples of crop and flip.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from noisy_lightning import augmentation
from noisy_lightning.data.loading.recipes import Recipe
from tests.tools.benchmark import BATCH, RandomImages

RECIPES: Mapping[str, Recipe] = {
    "CropFlip": augmentation.CropFlip(),
    "Cutout": augmentation.Cutout(),
    "TrivialAugment": augmentation.TrivialAugment(),
    "RandAugment": augmentation.RandAugment(),
    "AutoAugment": augmentation.AutoAugment(),
    "FixMatchAugment": augmentation.FixMatchAugment(),
    "AugMix": augmentation.AugMix(),
    "ColorJitter": augmentation.ColorJitter(),
    "RandomResizedCrop": augmentation.RandomResizedCrop(),
}


# Worker processes prepare batches in advance, also while something else is timed: they get the time to end, and what
# they have prepared does not count.
_SECONDS_OF_FILLING, _PREPARED = 1.0, 8


def data_of(recipe: Recipe, workers: int = 0) -> RandomImages:
    """Return random images, augmented by a recipe."""
    data = RandomImages(val_fraction=0, batch_size=BATCH, workers=workers, augmentation=recipe)
    data.setup("fit")
    return data


class Single(Dataset[Tensor]):
    """The same images, augmented by torchvision, one at a time."""

    def __init__(self, data: RandomImages, of_pillow: bool) -> None:
        images = torch.as_tensor(data.source.images).permute(0, 3, 1, 2).contiguous()
        to_picture = v2.ToPILImage()
        self.images = [to_picture(image) for image in images[:2000]] if of_pillow else images[:2000]
        steps = [v2.RandomCrop(32, 4), v2.RandomHorizontalFlip(), v2.RandAugment()]
        steps += [v2.PILToTensor()] if of_pillow else []
        mean, std = list(data.default_mean), list(data.default_std)
        self.transform = v2.Compose([*steps, v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)])

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> Tensor:
        augmented: Tensor = self.transform(self.images[index % len(self.images)])
        return augmented


def by_kornia(data: RandomImages) -> Iterator[Any]:
    """Yield batches that kornia augments as a whole, on this process's threads."""
    kornia = import_module("kornia.augmentation")  # which few have
    steps = kornia.AugmentationSequential(
        kornia.RandomCrop((32, 32), padding=4),
        kornia.RandomHorizontalFlip(),
        kornia.auto.RandAugment(n=2, m=9),
        kornia.Normalize(list(data.default_mean), list(data.default_std)),
    )
    images = torch.as_tensor(data.source.images).permute(0, 3, 1, 2)
    while True:
        for batch in images.split(BATCH):
            yield steps(batch.float() / 255)


def endless(make: Callable[[], Any]) -> Iterator[Any]:
    """Yield batches, epoch after epoch."""
    while True:
        yield from make()


def images_per_second(batches: Mapping[str, Iterator[Any]], count: int, blocks: int) -> dict[str, list[float]]:
    """Return how many images each makes per second, block by block, in turn."""
    rates: dict[str, list[float]] = {name: [] for name in batches}
    for block in range(blocks + 1):
        for name, source in batches.items():
            time.sleep(_SECONDS_OF_FILLING)
            for _ in itertools.islice(source, _PREPARED):
                pass
            start = time.perf_counter()
            for _ in itertools.islice(source, count):
                pass
            if block:  # the first one starts processes
                rates[name].append(BATCH * count / (time.perf_counter() - start))
    return rates


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=7, help="timed blocks of batches")
    parser.add_argument("--count", type=int, default=40, help="batches in a block")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    args = parser.parse_args()
    ours = augmentation.RandAugment()
    data, by_workers = data_of(ours), data_of(ours, args.workers)
    singles = {
        f"torchvision v2, {kind}, {args.workers} workers": DataLoader(
            Single(data, of_pillow), BATCH, num_workers=args.workers
        )
        for kind, of_pillow in (("Pillow", True), ("tensors", False))
    }
    batches: dict[str, Iterator[Any]] = {
        f"ours, {torch.get_num_threads()} threads": endless(data.train_dataloader),
        f"ours, {args.workers} workers": endless(by_workers.train_dataloader),
        **{name: iter(loader) for name, loader in singles.items()},
    }
    if find_spec("kornia"):
        batches[f"kornia, {torch.get_num_threads()} threads"] = by_kornia(data)
    rates = images_per_second(batches, args.count, args.blocks)
    torchvision = [max(both) for both in zip(*(rates[name] for name in singles), strict=True)]
    print("| RandAugment, CIFAR-10's shape, batches of 128 | images/s | × the faster of torchvision's |")
    print("| --- | ---: | ---: |")
    for name, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(found, torchvision, strict=True))
        print(f"| {name} | {statistics.median(found):,.0f} | {ratio:.2f} |")
    rates = images_per_second(
        {name: endless(data_of(recipe).train_dataloader) for name, recipe in RECIPES.items()}, args.count, args.blocks
    )
    print("\n| recipe | images/s | time × that of crop and flip |\n| --- | ---: | ---: |")
    for name, found in rates.items():
        ratio = statistics.median(one / other for one, other in zip(rates["CropFlip"], found, strict=True))
        print(f"| {name} | {statistics.median(found):,.0f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
