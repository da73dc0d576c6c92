"""Labels of some training samples that a person has verified."""

import csv
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from noisy_lightning.errors import InputError, reading


class TrustedLabels(NamedTuple):
    """Verified labels; the given ones may differ."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    """(M,) int64, positions in the original training set."""
    label: Tensor
    """(M,) int64 in [0, K)."""


def read_trusted_labels(path: Path, num_samples: int, num_classes: int) -> TrustedLabels:
    """Read a CSV file whose first line is `index,label`.

    Raises:
        InputError: It cannot be read, has other columns, a cell that is not an integer in range, or an index twice.
    """
    with reading(path, "trusted"), path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    if [name.strip() for name in header] != ["index", "label"]:
        raise InputError(f"trusted: the first line of {path} must be index,label, got {','.join(header)[:60]!r}")
    labels: dict[int, int] = {}
    for row in rows:
        try:
            index, label = map(int, row)
        except ValueError as error:
            raise InputError(f"trusted: {path} must have two whole numbers in a line, got {','.join(row)!r}") from error
        if not (0 <= index < num_samples and 0 <= label < num_classes):
            raise InputError(
                f"trusted: {path} must have an index in [0, {num_samples}) and a label in [0, {num_classes}), "
                f"got {index},{label}"
            )
        if index in labels:
            raise InputError(f"trusted: {path} has index {index} twice")
        labels[index] = label
    return TrustedLabels(torch.tensor(list(labels), dtype=torch.long), torch.tensor([*labels.values()]).long())
