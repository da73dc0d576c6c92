"""What a person decided about labels, as the page of suspects exports it."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import of_cell
from noisy_lightning.runs.measures import Bools, Ints

_COLUMNS = ("index", "path", "label", "verdict", "new_label")
_WORDS = ("keep", "change", "exclude", "unsure", "")
_NO_TEXT = re.compile("[\ud800-\udfff]")
_LISTED = 20  # classes that a message lists


class Verdicts(NamedTuple):
    """What was decided about N labels."""

    labels: Ints
    """(N,) the labels afterward; of what is excluded, the given ones."""
    excluded: Bools
    """(N,)"""
    judged: Bools
    """(N,) whether there is a verdict, `unsure` among them."""
    counts: Mapping[str, int]
    """How many there are of each verdict."""


def read_verdicts(path: Path, labels: Ints, class_names: Sequence[str], names: Sequence[str]) -> Verdicts:
    """Return what a file of verdicts says.

    The file is comma-separated, and its first line names the columns: `index`, a position in the training set; `path`
    and `label`, by which a line is known to be about this image and its given label, by name; `verdict`, which is
    `keep`, `change`, `exclude`, `unsure` (the same as `keep`) or empty (the same as no line); and `new_label`, the name
    of a class where the verdict is `change`, and else empty. Samples without a line have no verdict.

    Args:
        path: The file.
        labels: (N,) given labels.
        class_names: K names, by label.
        names: N paths of the images.

    Raises:
        InputError: The file cannot be read, holds something else, or is about other labels; names the first bad line.
    """
    after, excluded, judged = labels.copy(), np.zeros(len(labels), np.bool_), np.zeros(len(labels), np.bool_)
    by_name = {_in_file(name): label for label, name in enumerate(class_names)}
    counts = dict.fromkeys(_WORDS[:-1], 0)
    seen: set[int] = set()
    with reading(path, "apply"), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True)
        reader.fieldnames = columns = [name.strip() for name in reader.fieldnames or []]
        missing = [name for name in _COLUMNS if name not in columns]
        if missing:
            raise InputError(f"apply: {path} has no column {', '.join(missing)}: is it a verdicts.csv of the page?")
        for row in reader:
            where = f"apply: {path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise InputError(f"{where}: there are not as many cells as columns in the first line")
            index = _index(where, row["index"], len(labels))
            if index in seen:
                raise InputError(f"{where}: index {index} is there twice")
            seen.add(index)
            _check_sample(where, index, row, names[index], class_names[labels[index]])
            verdict = row["verdict"].strip()
            label = _new_label(where, verdict, of_cell(row["new_label"]), by_name, int(labels[index]))
            if not verdict:
                continue
            counts[verdict] += 1
            after[index], excluded[index], judged[index] = label, verdict == "exclude", True
    return Verdicts(after, excluded, judged, counts)


def _index(where: str, cell: str, count: int) -> int:
    text = cell.strip()
    if not (text.isascii() and text.isdecimal()) or int(text) >= count:
        raise InputError(f"{where}: index must be a whole number in [0, {count}) for this data set, got {cell!r}")
    return int(text)


def _check_sample(where: str, index: int, row: Mapping[str, str], name: str, label: str) -> None:
    """Refuse a line about another image or another given label."""
    for what, there, here in (("path", row["path"], name), ("label", row["label"], label)):
        if of_cell(there) != _in_file(here):
            raise InputError(
                f"{where}: it is about other labels: sample {index} has the {what} {of_cell(there)!r} there and "
                f"{here!r} here; use the data set, data.noise and data.seed that the page was made with"
            )


def _new_label(where: str, verdict: str, name: str, classes: Mapping[str, int], given: int) -> int:
    """Return the label after a verdict."""
    if verdict not in _WORDS:
        raise InputError(f"{where}: verdict must be keep, change, exclude, unsure or empty, got {verdict!r}")
    if verdict != "change":
        if name:
            raise InputError(f"{where}: new_label must be empty where the verdict is {verdict!r}, got {name!r}")
        return given
    if name not in classes:
        listed = ", ".join(list(classes)[:_LISTED]) + ", …" * (len(classes) > _LISTED)
        raise InputError(f"{where}: new_label {name!r} is no class, which are {listed}")
    if classes[name] == given:
        raise InputError(f"{where}: new_label {name!r} is the given label, which keep keeps")
    return classes[name]


def _in_file(text: str) -> str:
    """Return a text as a browser writes it: it has a mark for each byte that is no text."""
    return _NO_TEXT.sub("\ufffd", text)
