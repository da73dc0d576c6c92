"""Which samples to train on, decided before training: what a selector writes and a data module reads."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noisy_lightning.data.labels import named_class
from noisy_lightning.errors import InputError, reading

_FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
# Columns that need not be there.
_GIVEN, _VALIDATE, _RATE, _ORACLE = "y_noisy", "validate", "eval_ratio", "oracle"
_REQUIRED = ("index", "select", "candidate")
_WHOLE = re.compile(r"\s*([+-]?\d+)(\.0*)?\s*")  # spreadsheets and pandas may write 3 as 3.0
_Row = Mapping[str, str | None]


class Selection(NamedTuple):
    """What a selection file says of N samples; those without a line are in no part."""

    path: Path
    """The file."""
    select: Tensor
    """(N,) bool: trained on."""
    candidate: Tensor
    """(N,) bool: the label may be right, for methods that use such samples; never selected, too."""
    validate: Tensor | None
    """(N,) bool: validated on, and never selected; None: the file does not say."""
    noise_rate: float | None
    """The selector's estimate of the share of wrong labels among all, in [0, 1]; None: the file does not say."""
    oracle: bool = False
    """Whether the selector knew true labels, which only an experiment does."""


def read_selection(path: Path, labels: Tensor, class_names: Sequence[str] = ()) -> Selection:
    """Return what a selection file says.

    The file is comma-separated, and its first line names the columns: `index`, a position in the original training
    set, `select` and `candidate`, each 0 or 1 (or false, true). Four more are read where they are there: `y_noisy`,
    the given label, by which the file is known to belong to these labels; `validate`, 0 or 1; `eval_ratio`, the
    estimated noise rate, of which the first line counts; `oracle`, 0 or 1. Other columns are ignored.

    Args:
        path: The file, such as `selection.csv` of `noisy-lightning clean`.
        labels: (N,) given labels of the training set.
        class_names: K names, by label, for errors; classes go by their numbers without them.

    Raises:
        InputError: The file cannot be read, holds something else (names the first bad line), or was made for other
            labels.
    """
    marks = torch.zeros(3, len(labels), dtype=torch.bool)
    given = torch.full_like(labels, -1)
    rate: float | None = None
    oracle = False
    with reading(path, "data.selection"), path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        reader.fieldnames = names = [name.strip() for name in reader.fieldnames or []]
        missing = [name for name in _REQUIRED if name not in names]
        if missing:
            raise InputError(
                f"data.selection: {path} has no column {', '.join(missing)}: its first line must name them, "
                "separated by commas"
            )
        flags = ("select", "candidate", *([_VALIDATE] if _VALIDATE in names else []))
        seen: set[int] = set()
        for row in reader:
            where = f"data.selection: {path}, line {reader.line_num}"
            index = _index(row, len(labels), where)
            if index in seen:
                raise InputError(f"{where}: index {index} is there twice")
            if _RATE in names and not seen:
                rate = _share(row, where)
            oracle = oracle or (_ORACLE in names and _flag(row, _ORACLE, where))
            seen.add(index)
            for mark, name in zip(marks, flags, strict=False):
                mark[index] = _flag(row, name, where)
            if marks[:, index].sum() > 1:
                raise InputError(f"{where}: sample {index} may have only one of {', '.join(flags)}")
            if _GIVEN in names:
                given[index] = _whole(row, _GIVEN, where)
    if _GIVEN in names:
        _check_labels(path, given, labels, class_names)
    return Selection(path, marks[0], marks[1], marks[2] if _VALIDATE in names else None, rate, oracle)


def _check_labels(path: Path, found: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
    """Refuse a file that was made for other given labels."""
    differing = (found != labels).nonzero().squeeze(1)
    if len(differing):
        first = int(differing[0])
        if (found[differing] < 0).all():
            raise InputError(
                f"data.selection: {path} lacks {len(differing)} of {len(labels)} samples, sample {first} first: "
                "it has been cut off, or was made for a smaller data set; select 0 leaves a sample out of training"
            )
        there = "missing" if found[first] < 0 else named_class(int(found[first]), class_names)
        here = named_class(int(labels[first]), class_names)
        raise InputError(
            f"data.selection: {path} was made for other labels: sample {first} is {there} there and {here} here, "
            f"{len(differing)} of {len(labels)} differ; use the data set, data.noise and data.seed that it was made "
            "with (config.yaml beside it)"
        )


def _index(row: _Row, count: int, where: str) -> int:
    index = _whole(row, "index", where)
    if not 0 <= index < count:
        raise InputError(f"{where}: index must be in [0, {count}) for this data set, got {index}")
    return index


def _whole(row: _Row, name: str, where: str) -> int:
    cell = _cell(row, name, where)
    whole = _WHOLE.fullmatch(cell)
    if whole is None:
        raise InputError(f"{where}: {name} must be a whole number, got {cell!r}")
    return int(whole[1])


def _share(row: _Row, where: str) -> float | None:
    """Return the estimated noise rate; an empty cell says that there is none."""
    cell = (row[_RATE] or "").strip()
    try:
        rate = float(cell) if cell else 0.0
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= 1:
        raise InputError(f"{where}: {_RATE} must be in [0, 1], got {row[_RATE]!r}")
    return rate if cell else None


def _flag(row: _Row, name: str, where: str) -> bool:
    cell = _cell(row, name, where)
    value = _FLAGS.get(cell.strip().lower())
    if value is None:
        raise InputError(f"{where}: {name} must be 0 or 1, got {cell!r}")
    return value


def _cell(row: _Row, name: str, where: str) -> str:
    cell = row[name]
    if cell is None:
        raise InputError(f"{where}: the line ends before {name}; the file may have been cut off")
    return cell
