"""The items of a torch data set, pairs of image and label, and what it says of all of them without reading them."""

from collections.abc import Mapping
from typing import Any, NamedTuple, final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset

from noisy_lightning.errors import InputError

_LOOKED_AT = 32  # items that stand for all where not all are read
_LISTS = ("targets", "labels")  # what data sets call their lists of labels


class Item(NamedTuple):
    """An item of a data set."""

    image: object
    label: object
    """A number or the name of a class."""


@final
class DatasetItems:
    """The items of a map-style data set, each of which is a pair of image and label.

    Args:
        key: What the user calls it, the beginning of an error.
        dataset: The data set.

    Raises:
        InputError: It is no such data set, or is empty.
    """

    def __init__(self, key: str, dataset: Any) -> None:
        if isinstance(dataset, DataLoader):
            raise InputError(f"{key} must be a data set, got a DataLoader: give its dataset")
        is_map = hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")
        if not is_map or isinstance(dataset, str | Mapping | IterableDataset):
            found = "nothing" if dataset is None else type(dataset).__name__
            raise InputError(
                f"{key} must be a map-style data set of (image, label), with a length, got {found}: FromDataset is "
                "made in Python, since a configuration file holds no data set; ImageFolder and ImageTable take files"
            )
        if not len(dataset):
            raise InputError(f"{key} has no items")
        self.key, self.dataset = key, dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Item:
        """Read an item.

        Raises:
            InputError: It is no pair.
        """
        try:
            item = self.dataset[position]
        except Exception as error:
            error.add_note(f"while reading item {position} of {self.key}")
            raise
        if not isinstance(item, tuple | list) or len(item) != 2:
            size = f" of {len(item)}" if isinstance(item, tuple | list) else ""
            raise InputError(
                f"{self.key}: an item must be a pair (image, label), item {position} is a {type(item).__name__}{size}"
            )
        return Item(item[0], _plain(item[1]))

    def some(self) -> list[int]:
        """Return the positions of some items, spread evenly."""
        positions: list[int] = torch.linspace(0, len(self) - 1, min(len(self), _LOOKED_AT)).round().long().tolist()
        return positions

    def listed_labels(self) -> list[object] | None:
        """Return the labels that the data set lists; None where it has no list, or one of other labels than its items.

        Some of the items are read to find that out.
        """
        labels = _listed(self.dataset)
        if labels is None or any(self[position].label != labels[position] for position in self.some()):
            return None
        return labels

    def class_names(self) -> list[str] | None:
        """Return what the data set calls its classes; None where it does not say."""
        dataset = self.dataset
        while isinstance(dataset, Subset):
            dataset = dataset.dataset
        names = getattr(dataset, "classes", None)
        if not isinstance(names, tuple | list) or not names:
            return None
        # ImageNet of torchvision has a tuple of synonyms per class.
        return [", ".join(name) if isinstance(name, tuple) else str(name) for name in names]


def _listed(dataset: Any) -> list[object] | None:
    """Return the labels that a data set lists, as many as it has items; None where it has no such list."""
    if isinstance(dataset, Subset):
        labels = _listed(dataset.dataset)
        return None if labels is None else [labels[position] for position in dataset.indices]
    if isinstance(dataset, TensorDataset):
        return list(dataset.tensors[-1].tolist())
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for name in _LISTS:
        values = getattr(dataset, name, None)
        if isinstance(values, list | tuple | np.ndarray | Tensor) and len(values) == len(dataset):
            return [_plain(value) for value in values]
    return None


def _plain(label: object) -> object:
    """Return a label of numpy or torch as a number of Python."""
    return label.tolist() if isinstance(label, Tensor | np.generic | np.ndarray) else label
