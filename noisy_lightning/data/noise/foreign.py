"""Open-set noise: images of another data set replace some of a data set's own, whose labels stay."""

from typing import NamedTuple

from torch import Tensor

from noisy_lightning.data.adapting import reshaped
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError


class ForeignImages(NamedTuple):
    """Images that replace some of a data set's N training images."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    """(N,) int64: position of the image in the other data set's training set; -1: the data set's own image stays."""
    images: Tensor
    """(m, H, W, C) uint8, for the m places with a position, in their order."""
    checksum: str
    """What identifies the other data set."""


def take_images(source: Source, index: Tensor, shape: tuple[int, int, int]) -> ForeignImages:
    """Take images out of another data set.

    Args:
        source: Its training set.
        index: (N,) int64 as in `ForeignImages`.
        shape: (H, W, C) of the images that they replace.

    Raises:
        InputError: There is no such position, or the images are not in memory.
    """
    if not isinstance(source.images, Tensor):
        raise InputError("source: its images must be in memory: raise its cache_gib")
    outside = index[index >= len(source.images)]
    if len(outside):
        raise InputError(f"source: it has {len(source.images)} training images, and none at position {int(outside[0])}")
    images = source.images[index[index >= 0]]
    # Nothing to bring into shape: torchvision cannot resize no image at all.
    if not len(images):
        images = images.new_empty(0, *shape)
    elif tuple(images.shape[1:]) != shape:
        images = reshaped(images, shape)
    return ForeignImages(index, images, source.checksum())
