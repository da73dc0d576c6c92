"""Lists with the path of an image and its label on each line, matched to the images of a data set."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noisy_lightning.data.arguments import spelled_alike
from noisy_lightning.errors import InputError, reading

_LISTED = 20  # classes that a message lists


class ListedLabel(NamedTuple):
    """A line of a list."""

    number: int
    """Of the line, from 1 on."""
    path: str
    """Of an image, with `/` between folders; empty where the line holds a label only."""
    label: str


def read_list(path: Path) -> list[ListedLabel]:
    """Return the lines of a list that say something, in their order.

    Args:
        path: A text in UTF-8. The label is the last field of a line; fields are separated by tabs where each line has
            one, else by commas, else by semicolons where each line has one, else by blanks, so that other blanks may
            stand in a path. What begins with `#` is a comment.

    Raises:
        InputError: It cannot be read, is empty, or a line has no path where others have one.
    """
    with reading(path, "path"):
        text = path.read_text(encoding="utf-8-sig")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"path: {path} lists no label")
    separator = next((one for one in ("\t", ",", ";") if all(one in line for _, line in lines)), None)
    listed = []
    for number, line in lines:
        *before, label = line.rsplit(separator, 1)
        listed.append(ListedLabel(number, plain_path(before[0]) if before else "", label.strip()))
    without = next((one for one in listed if not one.path), None)
    if without is not None and any(one.path for one in listed):
        raise InputError(f"path: {path}, line {without.number}, must be a path and a label, got {without.label[:60]!r}")
    return listed


def plain_path(name: str) -> str:
    """Return the path of an image as data sets have it, with `/` between folders and none before the first."""
    return name.strip().replace("\\", "/").removeprefix("./")


def labels_of(
    where: str, listed: Sequence[ListedLabel], names: Sequence[str] | None, class_names: Sequence[str]
) -> Tensor:
    """Return the labels of images by their paths.

    Args:
        where: The list, as the beginning of an error.
        listed: Its lines; those of other images are ignored.
        names: N paths of the images; None: they have none.
        class_names: K names, by label. Labels are names where all of them are, or one is that is no number; numbers in
            [0, K) otherwise.

    Returns:
        (N,) int64.

    Raises:
        InputError: An image is not listed, is listed with two labels, or a label is no class.
    """
    if names is None:
        raise InputError(f"{where} lists images by their paths, and the images of this data set have none")
    lines: dict[str, ListedLabel] = {}
    for line in listed:
        first = lines.setdefault(line.path, line)
        if first.label != line.label:
            raise InputError(
                f"{where}, line {line.number}: {line.path} is labeled {line.label!r}, and {first.label!r} in line "
                f"{first.number}"
            )
    missing = [name for name in names if name not in lines]
    if missing:
        raise InputError(
            f"{where} has no label for {len(missing):,} of {len(names):,} training images: the first is {missing[0]}; "
            f"the file's first path is {listed[0].path}, and paths start from the folder data.root"
        )
    used = [lines[name] for name in names]
    by_name = {name: label for label, name in enumerate(class_names)}
    by_number = {str(label): label for label in range(len(class_names))}
    named = any(line.label in by_name and line.label not in by_number for line in used)
    numbers = by_name if named or all(line.label in by_name for line in used) else by_number
    for line in used:
        if line.label not in numbers:
            raise InputError(f"{where}, line {line.number}: {_no_class(line.label, class_names, named)}")
    return torch.tensor([numbers[line.label] for line in used])


def _no_class(label: str, class_names: Sequence[str], named: bool) -> str:
    """Say that a label is no class, and which one may be meant."""
    alike = [name for name in class_names if spelled_alike(name) == spelled_alike(label)]
    meant = alike or difflib.get_close_matches(label, class_names, n=1)
    hint = f"; did you mean {meant[0]!r}?" if meant else ""
    known = ", ".join(class_names[:_LISTED]) + ", …" * (len(class_names) > _LISTED)
    by_number = "" if named else f", nor by its number, in [0, {len(class_names) - 1}]"
    return f"{label!r} is no class by its name, of {known}{by_number}{hint}"
