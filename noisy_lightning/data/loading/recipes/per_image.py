"""Augmentation by any function of one image, such as a transform of torchvision."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from noisy_lightning.data.loading.decoding import to_pixels
from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.errors import InputError, reason


@final
class PerImage(Recipe):
    """Any transform, such as those of torchvision, called with one image at a time: far slower than the recipes.

    What it draws from the generators of torch, numpy or Python depends on the sample, view and epoch alone.

    Args:
        transform: Takes an image (C, H, W) uint8, on the CPU, and returns an image of any kind that `to_pixels` takes,
            of any size: it is brought to the one that networks get. In a configuration, a class that is a module.
    """

    draws = 1

    def __init__(self, transform: nn.Module) -> None:
        self.transform = transform

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Call the function with each image.

        Raises:
            InputError: It fails, or returns no image.
        """
        shape = (*size, images.shape[3])
        augmented = torch.empty((len(images), *shape), dtype=torch.uint8)
        seeds = (draws[:, 0] * 2**32).long().tolist()
        with _generators_kept():
            for image, out, seed in zip(images.cpu().permute(0, 3, 1, 2), augmented.numpy(), seeds, strict=True):
                torch.manual_seed(seed)
                np.random.seed(seed)  # transforms draw from the global generator
                random.seed(seed)
                try:
                    out[:] = to_pixels(self.transform(image.clone()), shape)
                except InputError as error:
                    raise InputError(f"data.augmentation: {self._name} returned no image: {error}") from error
                except Exception as error:
                    shown = tuple(image.shape)
                    raise InputError(
                        f"data.augmentation: {self._name} failed on an image {shown} uint8: {reason(error)}"
                    ) from error
        return augmented.to(images.device)

    @property
    def _name(self) -> str:
        return getattr(self.transform, "__name__", type(self.transform).__name__)


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Bring all global generators back to where they were."""
    of_torch, of_numpy, of_python = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(of_torch)
        np.random.set_state(of_numpy)
        random.setstate(of_python)
