"""Columns of labels from files of the formats in which they are published."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.data.noise.label_formats import READERS, UNNAMED
from noisy_lightning.errors import InputError, reading

# The names by which the code of CIFAR-N calls its columns.
_ALIASES = {
    "worst": "worse_label",
    "aggre": "aggre_label",
    "rand1": "random_label1",
    "rand2": "random_label2",
    "rand3": "random_label3",
    "noisy100": "noisy_label",
}
# What the files of SLN and IDN, of this package's runs, of CIFAR-100N and of PTD call given labels, and true ones.
_GIVEN = ("label_noisy", "given_label", "noisy_label", "noise_label", "noise_label_train")
_TRUE = ("label", "true_label", "clean_label", "clean_label_train")
_HUMAN_LABELS = ("CIFAR-10_human.pt", "CIFAR-100_human.pt")
_WHERE_TO_GET = "; it is in the folder data of https://github.com/UCSC-REAL/cifar-10-100n (noisylabels.com)"
_FOREIGN = "foreign_index"
_LISTED = 10  # columns that a message lists


class Labels(NamedTuple):
    """What a file says of the labels of N samples."""

    given: Tensor
    """(N,) int64."""
    true: Tensor | None
    """(N,) int64, -1 where the file leaves it open; None where it has no such column."""
    foreign: Tensor | None = None
    """(N,) int64 as in `ForeignImages`; None where there are none."""
    found: str = ""
    """The named columns of the file with their lengths, for errors; empty where they have no names."""


def read_labels(path: Path, column: str | None) -> Labels:
    """Return the labels in a file; `LabelFile` says of which formats and columns.

    Args:
        path: The file.
        column: Name of the given labels in it; None: it is found out.

    Raises:
        InputError: The file cannot be read, or it is not clear which column has the given labels.
    """
    if path.suffix not in READERS:
        raise InputError(f"path must be a {', '.join(READERS)} file, got {path}")
    if path.name in _HUMAN_LABELS and not path.exists():
        raise InputError(f"path: there is no {path}{_WHERE_TO_GET}")
    with reading(path, "path"):
        return _chosen_labels(path, READERS[path.suffix](path), column)


def _chosen_labels(path: Path, columns: Mapping[str, Any], column: str | None) -> Labels:
    """Return what the columns of a file say."""
    name = _chosen(path, list(columns), column)
    true_name = _true_column(list(columns), name)
    given = _whole_numbers(path, name, columns[name])
    true = None if true_name is None else _whole_numbers(path, true_name, columns[true_name], unknown=True)
    foreign = _whole_numbers(path, _FOREIGN, columns[_FOREIGN], unknown=True) if _FOREIGN in columns else None
    for beside in (true_name, "index"):
        if beside is not None and beside in columns and len(columns[beside]) != len(given):
            raise InputError(f"path: {path} has {len(given)} {name!r} but {len(columns[beside])} {beside!r}")
    if "index" in columns and name != "index":
        _check_index(path, _whole_numbers(path, "index", columns["index"]))
    return Labels(given, true, foreign, "" if name == UNNAMED else _lengths(columns))


def _lengths(columns: Mapping[str, Any]) -> str:
    sized = [f"{name} ({len(values):,})" if hasattr(values, "__len__") else name for name, values in columns.items()]
    return ", ".join(sized[:_LISTED]) + ", …" * (len(sized) > _LISTED)


def _chosen(path: Path, names: list[str], column: str | None) -> str:
    """Return the name of the given labels among the columns of a file."""
    if names == [UNNAMED]:
        if column is not None:
            raise InputError(f"column must be left out for {path}, whose only column has no name, got {column!r}")
        return UNNAMED
    if column is not None:
        alias = _ALIASES.get(column, column)
        if column in names or alias in names:
            return column if column in names else alias
        close = difflib.get_close_matches(column, names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(f"column: {path} has no {column!r}, only {', '.join(names)}{hint}")
    named = [name for name in _GIVEN if name in names]
    others = [name for name in names if name not in (*_TRUE, "index", "split", _FOREIGN)]
    for candidates in (names, named[:1], others):
        if len(candidates) == 1:
            return candidates[0]
    raise InputError(f"column must say which labels of {path} to take: it has {', '.join(names) or 'no columns'}")


def _true_column(names: list[str], given: str) -> str | None:
    """Return the column with the true labels that belong to the given ones."""
    # The coarse labels of CIFAR-100N have true ones of their own.
    candidates = (given.replace("noisy", "clean"), *_TRUE)
    return next((name for name in candidates if name in names and name != given), None)


def _check_index(path: Path, index: Tensor) -> None:
    expected = torch.arange(len(index))
    if not index.equal(expected):
        first = int((index != expected).nonzero()[0])
        raise InputError(
            f"path: {path} must have its rows in the order of their index, from 0 on: got {int(index[first])} where "
            f"{first} belongs"
        )


def _whole_numbers(path: Path, name: str, values: Any, unknown: bool = False) -> Tensor:
    """Return a column as (N,) int64; an empty text becomes -1 where labels may be unknown."""
    where = f"path: {path}" + (f", column {name!r}," if name else "")
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return torch.tensor([_whole_number(where, row, cell, unknown) for row, cell in enumerate(values)]).long()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{where} must hold one label per sample: {error}") from error
    if array.ndim == 2 and array.shape[1] == 1:  # a column of a matrix
        array = array[:, 0]
    if array.ndim != 1 or not (array.size == 0 or np.issubdtype(array.dtype, np.integer)):
        raise InputError(f"{where} must hold whole numbers of shape (N,), got {array.shape} {array.dtype}")
    if array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{where} holds {int(array.max())}, which is no label")
    return torch.from_numpy(array.astype(np.int64))


def _whole_number(where: str, row: int, cell: str, unknown: bool) -> int:
    if unknown and not cell:
        return -1
    try:
        return np.int64(int(cell)).item()
    except (ValueError, OverflowError) as error:
        raise InputError(f"{where} must hold whole numbers, got {cell[:40]!r} for sample {row}") from error
