"""Transition matrices T[i, j] = P(given = j | true = i), given by hand or in a file: read and check."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.errors import InputError, reading

# Matrices in papers and in float32 files are rounded; a forgotten class is off by far more than this.
_ROW_SUM_TOLERANCE = 1e-4


def read_matrix(path: Path) -> list[list[float]]:
    """Read the rows of a matrix from a `.csv` (comma-separated, no header), `.json` (a list of lists) or `.npy` file.

    Raises:
        InputError: The file is missing, of another kind, or holds something else.
    """
    with reading(path, "matrix"):
        if path.suffix == ".npy":
            with path.open("rb") as file:
                rows = np.lib.format.read_array(file, allow_pickle=False).tolist()
        elif path.suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8-sig"))
        elif path.suffix == ".csv":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            rows = [[float(cell) for cell in line.split(",")] for line in lines if line.strip()]
        else:
            raise InputError(f"matrix must be a .csv, .json or .npy file, got {path}")
    return rows  # type: ignore[no-any-return]  # whatever it is, checked_matrix looks at it next


def checked_matrix(matrix: Sequence[Sequence[float]]) -> Tensor:
    """Check a transition matrix and divide each row by its sum.

    Returns:
        (K, K) float64.

    Raises:
        InputError: It is not K×K, or has a row that holds something other than probabilities with sum 1.
    """
    try:
        rows = torch.tensor([[float(cell) for cell in row] for row in matrix], dtype=torch.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"matrix must be K rows of K numbers: {error}") from error
    if rows.ndim != 2 or len(rows) != rows.shape[1]:
        raise InputError(f"matrix must be K×K, got {'×'.join(map(str, rows.shape))}")
    for index, row in enumerate(rows):
        wrong = row[~((row >= 0) & (row <= 1 + _ROW_SUM_TOLERANCE))]
        if len(wrong):
            raise InputError(f"matrix must hold probabilities in [0, 1], row {index} has {wrong[0].item():.6g}")
        total = row.sum().item()
        if abs(total - 1) > _ROW_SUM_TOLERANCE:
            raise InputError(f"matrix must have rows with sum 1, row {index} sums to {total:.6g}")
    return rows / rows.sum(1, keepdim=True)
