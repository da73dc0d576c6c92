"""Bringing images of one data set to the shape of another's, and its classes to those of the other."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

import torch
from torch import Tensor

from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import UNKNOWN

_NAMED = 5  # classes that a message names


class Classes(NamedTuple):
    """Which classes of a data set those of a test set are."""

    numbers: Sequence[int]
    """Class k of the test set is class `numbers[k]` of the data set."""
    remark: str
    """What a user should know of it; empty where both have the same classes in the same order."""


def same_classes(name: str, found: Sequence[str], expected: Sequence[str]) -> Classes:
    """Find the classes of a test set among those of a data set, by their names.

    Where one of them has numbers for names, 0 to K - 1, and the other has words, class k is class k: there must be
    equally many.

    Args:
        name: Of the test set, in `data.test_sets`.
        found: Names of its classes.
        expected: Names of the classes of the data set.

    Raises:
        InputError: The test set has classes that the data set lacks.
    """
    where, lacking = f"data.test_sets.{name}", [one for one in found if one not in expected]
    if not lacking:
        numbers = [list(expected).index(one) for one in found]
        missing = [one for one in expected if one not in found]
        remark = (
            f"has no class {_listed(missing)}" if missing else "has the classes in another order, which its names say"
        )
        return Classes(numbers, "" if list(found) == list(expected) else f"{where} {remark}")
    if len(found) == len(expected) and _are_numbers(found) != _are_numbers(expected):
        pairs = _listed([f"{one} is {other}" for one, other in zip(found, expected, strict=True)])
        return Classes(
            range(len(found)), f"{where}: its classes are taken in their order, as names say nothing: {pairs}"
        )
    hint = get_close_matches(lacking[0], expected, n=1)
    meant = f"; did you mean {hint[0]}?" if hint else ""
    raise InputError(
        f"{where} has classes that this data set lacks: {_listed(lacking)}; it has {_listed(expected)}{meant}"
    )


def without_images(labels: Tensor, class_names: Sequence[str]) -> str:
    """Return which classes a test set has no image of, for a message; empty where it has some of all.

    Args:
        labels: (M,) true labels of the test images.
        class_names: K names, by label.
    """
    return _listed([class_names[k] for k in (labels.bincount(minlength=len(class_names)) == 0).nonzero().flatten()])


def _are_numbers(names: Sequence[str]) -> bool:
    """Return whether classes have their numbers for names."""
    return list(names) == [str(number) for number in range(len(names))]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + f" and {len(names) - _NAMED} more" * (len(names) > _NAMED)


def as_test_set(source: Source) -> Source:
    """Return training images as test images: where nobody knows a true label, the one that came with the image counts.

    Args:
        source: The training set.
    """
    given = source.labels if source.given_labels is None else source.given_labels
    labels = torch.where(source.labels == UNKNOWN, given, source.labels)
    return Source(source.images, labels, broken=source.broken, identity=source.identity)


def adapted(name: str, source: Source, image_shape: tuple[int, int, int], classes: Sequence[int]) -> Source:
    """Bring the test images of another data set to the shape and the classes of this one's.

    Args:
        name: Of the test set, in `data.test_sets`.
        source: The test set.
        image_shape: (H, W, C) of this data set's images.
        classes: Which of this data set each class of the test set is, as `same_classes` finds them.

    Raises:
        InputError: The test set has images of another shape that are not in memory.
    """
    source = source._replace(labels=torch.tensor(classes)[source.labels])
    if tuple(source.images.shape[1:]) == image_shape:
        return source
    if not isinstance(source.images, Tensor):
        raise InputError(
            f"data.test_sets.{name}: image_size must be {list(image_shape[:2])} as here, or cache_gib larger"
        )
    return source._replace(images=reshaped(source.images, image_shape))


def reshaped(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return images (N, H, W, C) uint8 in another shape (H', W', C'), C and C' being 1 or 3.

    Sizes change by antialiased bilinear interpolation; gray becomes color by repetition, color gray by the weights of
    ITU-R 601.
    """
    from torchvision.transforms.v2 import functional  # noqa: PLC0415  # nothing else needs it

    height, width, channels = shape
    moved = images.permute(0, 3, 1, 2)
    if channels != images.shape[3]:
        moved = functional.rgb_to_grayscale(moved) if channels == 1 else moved.expand(-1, channels, -1, -1)
    resized: Tensor = functional.resize(moved, [height, width], antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous()
