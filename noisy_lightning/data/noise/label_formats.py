"""Files of the formats in which labels are published, read as plain data: columns by their names."""

import csv
import json
import pickle
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisy_lightning import compat
from noisy_lightning.data.noise.label_lists import ListedLabel, plain_path, read_list
from noisy_lightning.errors import InputError, reading

UNNAMED = ""
"""Name of the only column of a file that has no names."""


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


def read_paths_and_labels(path: Path) -> list[ListedLabel]:
    """Return the lines of a table whose only columns are called path and label; nothing of any other, or of none.

    Args:
        path: A `.csv` file in UTF-8, with commas.

    Raises:
        InputError: It cannot be read, or a line has other than two cells.
    """
    if not path.is_file():
        return []
    with reading(path, "path"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file), [])
        if sorted(name.strip() for name in first) != ["label", "path"]:
            return []
        columns = _read_csv(path)
    pairs = zip(map(plain_path, columns["path"]), columns["label"], strict=True)
    return [ListedLabel(number, name, label) for number, (name, label) in enumerate(pairs, start=2)]


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
            return {UNNAMED: np.lib.format.read_array(file, allow_pickle=False)}
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
    return _columns(path, content)


def _read_json(path: Path) -> dict[str, Any]:
    """Return a list of labels, or named lists of them."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise InputError(f"path: {path} is no whole JSON file: {error}") from error
    return _columns(path, content)


def _columns(path: Path, content: Any) -> dict[str, Any]:
    """Return what a file without a layout of its own holds, by name."""
    if isinstance(content, torch.Tensor | np.ndarray | list | tuple):
        return {UNNAMED: content}
    if isinstance(content, dict) and content and all(isinstance(name, str) and name for name in content):
        return content
    named = f"a dictionary with the keys {list(content)[:5]!r}" if isinstance(content, dict) else type(content).__name__
    raise InputError(
        f"path: {path} must hold a list of labels, or a dictionary of such lists by their names, got {named}"
    )


READERS: Mapping[str, Callable[[Path], Mapping[str, Any]]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".pt": _read_pt,
    ".txt": lambda path: {UNNAMED: [line.label for line in read_list(path)]},
}
"""Reads a file whose name ends so; what a file holds that is damaged beyond these errors, `reading` says."""
