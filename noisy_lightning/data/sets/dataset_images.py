"""The images of a torch data set as one uint8 array: read all at once, or item by item when they are asked for."""

import hashlib
import warnings
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from noisy_lightning.data.loading.decoding import size_of, to_pixels
from noisy_lightning.data.sets.dataset_items import DatasetItems
from noisy_lightning.errors import InputError


@final
class DatasetImages:
    """Images of a data set that behave like a uint8 array (N, H, W, C); only those asked for are ever in memory.

    Args:
        items: The items.
        image_shape: (H, W, C) to which `to_pixels` brings the images.
        of_one_size: Whether to refuse an image of another size, which would be scaled and cut.
    """

    def __init__(self, items: DatasetItems, image_shape: tuple[int, int, int], of_one_size: bool) -> None:
        self.items, self.image_shape, self.of_one_size = items, image_shape, of_one_size
        self._labels: list[object] | None = None
        self._kept: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, H, W, C)."""
        return len(self.items), *self.image_shape

    @property
    def nbytes(self) -> int:
        """Memory, in bytes, that all images would take."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Return the images (B, H, W, C) uint8 at positions (B,).

        Raises:
            InputError: One of them cannot be used.
        """
        images = torch.empty((len(index), *self.image_shape), dtype=torch.uint8)
        for image, position in zip(images.numpy(), index.tolist(), strict=True):
            image[:] = self._pixels(position, self.items[position].image)
        return images

    def labels(self, keep: bool) -> list[object]:
        """Return the labels of all items: those that the data set lists, or else by reading every item.

        Args:
            keep: Whether to keep the images that are read on this occasion.

        Raises:
            InputError: An image that is to be kept cannot be used.
        """
        self._labels = self.items.listed_labels()
        if self._labels is None and keep:
            self._kept, self._labels = self._read()
        elif self._labels is None:
            positions = tqdm(range(len(self)), unit=" labels", disable=None)
            self._labels = [self.items[position].label for position in positions]
        return self._labels

    def kept(self) -> Tensor:
        """Return all images (N, H, W, C) uint8, which are read the first time.

        Raises:
            InputError: An image cannot be used, or the data set lists other labels than those of its items.
        """
        if self._kept is None:
            self._kept, labels = self._read()
            self._check_list(labels)
        return self._kept

    def checksum(self, labels: Tensor) -> str:
        """Return a SHA-256, in hex, of the shape, of some of the images, spread evenly, and of the labels (N,)."""
        digest = hashlib.sha256(repr(self.shape).encode())
        digest.update(self[torch.tensor(self.items.some())].numpy().tobytes())
        digest.update(labels.numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def warn_if_random(self) -> None:
        """Warn where an item differs between two readings."""
        (first, label), (again, other) = self.items[0], self.items[0]
        # As text, in which even NaN is equal to itself.
        if str(label) != str(other) or (self._pixels(0, first) != self._pixels(0, again)).any():
            warnings.warn(
                f"{self.items.key}: item 0 differs between two readings: leave random transforms out of the data set, "
                "which is augmented in training by data.augmentation",
                stacklevel=3,
            )

    def _read(self) -> tuple[Tensor, list[object]]:
        """Return all images and all labels, each item read once, with a bar where the output is a terminal."""
        images, labels = torch.empty(self.shape, dtype=torch.uint8), []
        for position in tqdm(range(len(self)), unit=" images", disable=None):
            image, label = self.items[position]
            images.numpy()[position] = self._pixels(position, image)
            labels.append(label)
        return images, labels

    def _pixels(self, position: int, image: object) -> NDArray[np.uint8]:
        """Return the pixels (H, W, C) of an image that has been read."""
        try:
            if self.of_one_size:
                self._check_size(image)
            return to_pixels(image, self.image_shape)
        except InputError as error:
            raise InputError(f"{self.items.key}, item {position}: {error}") from error

    def _check_size(self, image: object) -> None:
        wanted, found = self.image_shape[:2], size_of(image)
        if found != wanted:
            raise InputError(
                f"images differ in size, {wanted[0]}×{wanted[1]} (height×width) in item 0 and {found[0]}×{found[1]} "
                "here: give image_size, to which all of them are brought"
            )

    def _check_list(self, labels: list[object]) -> None:
        """Refuse a list of labels that some items contradict."""
        listed = self._labels or labels
        differing = (at for at, (one, other) in enumerate(zip(listed, labels, strict=True)) if one != other)
        if (position := next(differing, None)) is not None:
            raise InputError(
                f"{self.items.key}: its list of labels (targets or labels) has {listed[position]!r} for item "
                f"{position}, whose label is {labels[position]!r}: remove the list, or correct it"
            )


def size_of_first(items: DatasetItems) -> tuple[int, int]:
    """Return height and width of the first image.

    Raises:
        InputError: It is none.
    """
    try:
        return size_of(items[0].image)
    except InputError as error:
        raise InputError(f"{items.key}, item 0: {error}") from error
