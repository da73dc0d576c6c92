"""Columns of labels from files of the formats in which they are published."""

import csv
import difflib
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noisy_lightning import compat
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
# What the files of SLN and IDN, of this package's runs and of CIFAR-100N call given labels, and true ones.
_GIVEN = ("label_noisy", "given_label", "noisy_label", "noise_label")
_TRUE = ("label", "true_label", "clean_label")
_HUMAN_LABELS = ("CIFAR-10_human.pt", "CIFAR-100_human.pt")
_WHERE_TO_GET = "; it is in the folder data of https://github.com/UCSC-REAL/cifar-10-100n (noisylabels.com)"
_UNNAMED = ""
_FOREIGN = "foreign_index"


class Labels(NamedTuple):
    """What a file says of the labels of N samples."""

    given: Tensor
    """(N,) int64."""
    true: Tensor | None
    """(N,) int64, -1 where the file leaves it open; None where it has no such column."""
    foreign: Tensor | None = None
    """(N,) int64 as in `ForeignImages`; None where there are none."""


def read_labels(path: Path, column: str | None) -> Labels:
    """Return the labels in a file; `LabelFile` says of which formats and columns.

    Args:
        path: The file.
        column: Name of the given labels in it; None: it is found out.

    Raises:
        InputError: The file cannot be read, or it is not clear which column has the given labels.
    """
    readers: dict[str, Callable[[Path], Mapping[str, Any]]] = {
        ".csv": _read_csv,
        ".npy": _read_npy,
        ".npz": _read_npz,
        ".pt": _read_pt,
    }
    if path.suffix not in readers:
        raise InputError(f"path must be a {', '.join(readers)} file, got {path}")
    if path.name in _HUMAN_LABELS and not path.exists():
        raise InputError(f"path: there is no {path}{_WHERE_TO_GET}")
    with reading(path, "path"):
        return _chosen_labels(path, readers[path.suffix](path), column)


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
    return Labels(given, true, foreign)


def _chosen(path: Path, names: list[str], column: str | None) -> str:
    """Return the name of the given labels among the columns of a file."""
    if names == [_UNNAMED]:
        if column is not None:
            raise InputError(f"column must be left out for {path}, whose only column has no name, got {column!r}")
        return _UNNAMED
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


def _read_csv(path: Path) -> dict[str, list[str]]:
    """Return the columns of a file whose first line names them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = [name.strip() for name in next(reader, [])]
        _check_header(path, header)
        rows = []
        for row in reader:
            if row and len(row) != len(header):
                raise InputError(
                    f"path: {path}, line {reader.line_num}, has {len(row)} cells, its first line {len(header)}"
                )
            if row:
                rows.append(row)
    columns = zip(*rows, strict=True) if rows else [[] for _ in header]
    return {name: [cell.strip() for cell in cells] for name, cells in zip(header, columns, strict=True)}


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise InputError(f"path: {path} is empty")
    # A file without names would lose its first label.
    if any(not name or name.lstrip("-").isdigit() for name in header):
        raise InputError(f"path: {path} must name its columns in the first line, got {','.join(header)[:60]!r}")
    if len(set(header)) < len(header):
        raise InputError(f"path: {path} has two columns of the same name: {','.join(header)[:60]}")


def _read_npy(path: Path) -> dict[str, Any]:
    try:
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file:
            return {_UNNAMED: np.lib.format.read_array(file, allow_pickle=False)}
    except OSError:
        raise
    except Exception as error:  # a torn file can raise anything
        raise InputError(_not_numpy(path, error)) from error


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays}
    except OSError:
        raise
    except Exception as error:  # a torn archive can raise anything: BadZipFile, zlib.error, TypeError, ...
        raise InputError(_not_numpy(path, error)) from error


def _not_numpy(path: Path, error: Exception) -> str:
    if "pickle" in str(error):
        return f"path: {path} holds a pickle, which could run anything and is not opened: save plain arrays of numbers"
    return f"path: {path} is no whole numpy file: {error}"


@cache
def _allowed() -> list[Any]:
    """Return what an array of numbers in a pickle is rebuilt with."""
    reconstruct = compat.numpy_reconstruct()
    return [
        (reconstruct, "numpy.core.multiarray._reconstruct"),  # its place before numpy 2
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        *{type(np.dtype(code)) for code in "?" + np.typecodes["AllInteger"] + np.typecodes["Float"]},
    ]


def _read_pt(path: Path) -> dict[str, Any]:
    """Return a pickled dictionary of arrays, made of nothing that is not on the allow-list."""
    try:
        with torch.serialization.safe_globals(_allowed()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of how old or new the pickle is
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        # Torch explains over many lines how to open it all the same.
        reason = next(
            (line.strip() for line in str(error).splitlines() if "GLOBAL" in line), "it is damaged or holds objects"
        )
        raise InputError(
            f"path: {path} is not opened, because it is more than arrays of numbers: {reason.split(' was not')[0]}"
        ) from error
    except Exception as error:  # damaged bytes can make a pickle raise anything
        reason = str(error).partition("\n")[0]
        raise InputError(f"path: {path} is no whole .pt file: {reason}") from error
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise InputError(f"path: {path} must hold a dictionary of named columns, got {type(content).__name__}")
    return content
