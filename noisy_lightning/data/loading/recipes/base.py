"""What a recipe of augmentation is, and those that change no pixel."""

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor


class Recipe(ABC):
    """What is done to the pixels of an image, after it was cropped and mirrored at random.

    A recipe draws nothing: it is given numbers that are drawn for a sample and view of an epoch.
    """

    crops: bool = True
    """Whether `crop_padding` crops first; otherwise the recipe gets the whole image."""
    flips: bool = True
    """Whether `horizontal_flip` mirrors first."""
    zooms: bool = False
    """Whether it magnifies parts of an image, so that images of files are kept larger than networks get them."""

    @property
    @abstractmethod
    def draws(self) -> int:
        """D, how many numbers are to be drawn for an image."""

    @abstractmethod
    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Augment images.

        Args:
            images: (B, H', W', C) uint8, on any device; not changed.
            draws: (B, D) float64 in [0, 1), uniform and independent, on the CPU.
            mean: (C,) uint8, mean color of the data set, on the device of the images.
            size: (H, W) that a network gets, and a recipe that zooms returns.

        Returns:
            (B, H', W', C) or (B, H, W, C) uint8.
        """


@final
class NoAugmentation(Recipe):
    """Images as they are: neither cropped nor mirrored."""

    crops, flips, draws = False, False, 0

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the images."""
        return images


@final
class CropFlip(Recipe):
    """Random crops of the padded image, and mirror images: what `crop_padding` and `horizontal_flip` say, no more."""

    draws = 0

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the images."""
        return images
