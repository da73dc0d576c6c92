"""A user's own labels, as arrays or lists: whole numbers or class names, checked and numbered."""

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.data.arguments import check_alike
from noisy_lightning.data.sets.sources import number_groups
from noisy_lightning.errors import InputError

Labels = NDArray[Any]
"""(N,) int64 or text."""
_LISTED = 20  # classes that a message lists


class TrainingLabels(NamedTuple):
    """The labels of N training images."""

    class_names: list[str]
    """K names, by label."""
    given: Tensor
    """(N,) int64 in [0, K)."""
    true: Tensor
    """(N,) int64 in [0, K); -1 where nobody knows them."""


def training_labels(
    subject: str, labels: object, true_labels: object, class_names: Sequence[str] | None, clean: bool, count: int
) -> TrainingLabels:
    """Check and number the labels of training images.

    Args:
        subject: What the user calls the given labels, such as `data.labels`: the beginning of an error.
        labels: (N,) whole numbers in [0, K), or class names.
        true_labels: The same; -1, or an empty name, where nobody knows the label. None: nobody knows any.
        class_names: K names, by label; None: the names that occur, in the order of `number_or_name`, or "0" to "K-1".
        clean: Whether the given labels are right.
        count: N, the number of images.

    Raises:
        InputError: There is no label for each image, no such class, only one class, or a label is both right and wrong.
    """
    given = _column(subject, labels, count)
    true = None if true_labels is None else _column("data.true_labels", true_labels, count)
    names = _occurring(subject, given, true) if class_names is None else _checked(class_names)
    if len(names) < 2:
        raise InputError(f"{subject}: there is one class, {names[0]!r}, and must be 2 or more")
    numbered = _numbered(subject, given, names)
    known = torch.full_like(numbered, -1) if true is None else _numbered("data.true_labels", true, names, unknown=True)
    if not clean:
        return TrainingLabels(names, numbered, known)
    wrong = ((known >= 0) & (known != numbered)).nonzero()
    if len(wrong):
        first = int(wrong[0])
        raise InputError(
            f"{subject}: the label of image {first} is right by data.clean, and wrong by data.true_labels, which say "
            f"{names[int(known[first])]!r} instead of {names[int(numbered[first])]!r}"
        )
    return TrainingLabels(names, numbered, numbered)


def numbered_labels(subject: str, labels: object, class_names: Sequence[str], count: int) -> Tensor:
    """Check and number labels of which all classes are known, such as those of test images.

    Args:
        subject: What the user calls them, the beginning of an error.
        labels: (N,) whole numbers in [0, K), or class names.
        class_names: K names, by label.
        count: N, the number of images.

    Returns:
        (N,) int64 in [0, K).

    Raises:
        InputError: There is no label for each image, or a label is none of the classes.
    """
    return _numbered(subject, _column(subject, labels, count), class_names)


def training_groups(groups: object, count: int) -> Tensor | None:
    """Check and number the groups of training images.

    Args:
        groups: (N,) names or numbers; "", None or -1 where an image is in none. None: there are no groups.
        count: N, the number of images.

    Returns:
        (N,) int64 as in `Source`; None where no image is in a group.

    Raises:
        InputError: There is not one group, or none, for each image.
    """
    if groups is None:
        return None
    names = groups.tolist() if hasattr(groups, "tolist") else groups
    if not isinstance(names, list | tuple) or len(names) != count or not all(isinstance(n, Hashable) for n in names):
        raise InputError(f"data.groups must hold a name or a number per image, of which there are {count}")
    return number_groups(names)


def number_or_name(label: str) -> tuple[bool, int, str]:
    """Return what class names are ordered by: whole numbers by their value, before other names by the alphabet."""
    number = label.isdecimal()
    return not number, int(label) if number else 0, label


def _column(subject: str, labels: object, count: int) -> Labels:
    """Return labels as an array (N,) of int64 or of text."""
    try:
        array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    except ValueError as error:
        raise InputError(f"{subject} must hold one label per image: {error}") from error
    if array.ndim != 1:
        hint = "; argmax(1) makes labels of one-hot rows" * (array.ndim == 2)
        raise InputError(f"{subject} must be of shape ({count},), a label per image, got {array.shape}{hint}")
    if len(array) != count:
        raise InputError(f"{subject} must hold one label per image: {count} images, {len(array)} labels")
    if array.dtype.kind in "iu":
        return array.astype(np.int64)
    if all(isinstance(label, str) for label in array.tolist()):
        return array.astype(str)
    raise InputError(
        f"{subject} must be whole numbers or class names, got {array.dtype}: .astype(int) converts whole numbers that "
        "are stored as others"
    )


def _occurring(subject: str, given: Labels, true: Labels | None) -> list[str]:
    """Return the names of the classes that occur."""
    if true is not None and true.dtype.kind != given.dtype.kind:
        raise InputError("data.true_labels must be whole numbers or names as the given labels, or class_names be given")
    found = np.unique(given)
    if given.dtype.kind == "U":
        names = sorted((str(name) for name in found if name), key=number_or_name)
        check_alike(subject, names, "correct one, or name all classes by class_names")
        _check_known(true, set(names) | {""})
        return names
    numbers = found[found >= 0]
    _check_known(true, set(numbers.tolist()))
    missing = (numbers != np.arange(len(numbers))).nonzero()[0]
    if len(missing):
        raise InputError(
            f"{subject}: no image is of class {missing[0]}, but one of class {numbers[-1]}: labels count from 0; name "
            "all classes by class_names where some have no image"
        )
    return [str(label) for label in range(max(1, len(numbers)))]


def _check_known(true: Labels | None, known: set[Any]) -> None:
    """Check that each true label is the given label of an image: one that is not is probably misspelled."""
    for position, label in enumerate([] if true is None else true.tolist()):
        if label not in known and not (isinstance(label, int) and label < 0):  # which is unknown, or refused elsewhere
            raise InputError(
                f"data.true_labels: {label!r} of image {position} is the given label of no image; class_names names "
                "all classes where one has no image"
            )


def _checked(class_names: Sequence[str]) -> list[str]:
    names = [] if isinstance(class_names, str) else list(class_names)
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"data.class_names must be a list of names, by label, got {class_names!r}")
    if len(set(names)) < len(names):
        raise InputError(f"data.class_names must all differ, got {', '.join(names)}")
    return [str(name) for name in names]


def _numbered(subject: str, labels: Labels, names: Sequence[str], unknown: bool = False) -> Tensor:
    """Return labels (N,) int64 in [0, K); -1 for an unknown one where there may be such."""
    if labels.dtype.kind == "U":
        numbers = {name: label for label, name in enumerate(names)} | ({"": -1} if unknown else {})
        for position, name in enumerate(labels.tolist()):
            if name not in numbers:
                listed = ", ".join(names[:_LISTED]) + ", …" * (len(names) > _LISTED)
                raise InputError(f"{subject}: {name!r} of image {position} is no class, which are {listed}")
        return torch.tensor([numbers[name] for name in labels.tolist()])
    least = -1 if unknown else 0
    outside = ((labels < least) | (labels >= len(names))).nonzero()[0]
    if len(outside):
        first = outside[0]
        raise InputError(f"{subject} must be in [{least}, {len(names)}), got {labels[first]} for image {first}")
    return torch.from_numpy(labels.copy())
