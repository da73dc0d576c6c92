"""Class scores of every training image from a file, from which noise that depends on the image is made."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.data.noise.alignment import check_length, check_true_labels
from noisy_lightning.data.noise.sampling import check_labels
from noisy_lightning.errors import InputError, reading

_ARRAY = "probability"


class Scores(NamedTuple):
    """What a file of scores holds, in the order of the training set."""

    argument: str
    """What the user calls the file."""
    path: Path
    scores: Tensor
    """(N, K) float64, finite."""
    true_labels: Tensor | None
    """(N,) int64 true labels that the file repeats, negative where unknown."""

    def of(self, labels: Tensor, num_classes: int) -> Tensor:
        """Return the scores (N, K), which belong to these labels as far as the file can show.

        Args:
            labels: (N,) int64 true labels of the training set, in [0, K).
            num_classes: K.

        Raises:
            InputError: Labels outside [0, K), or the file has another shape or true labels than the training set.
        """
        check_labels(labels, num_classes)
        check_length(self.argument, self.path, len(self.scores), labels)
        if self.scores.shape[1] != num_classes:
            raise InputError(
                f"{self.argument}: {self.path} has {self.scores.shape[1]} columns, the data set {num_classes} classes"
            )
        if self.true_labels is not None:
            check_true_labels(self.argument, self.path, self.true_labels, labels)
        return self.scores


def read_scores(argument: str, path: Path) -> Scores:
    """Read a score for each training image and class.

    Args:
        argument: What the user calls the file, for messages.
        path: A file of `noisy-lightning predict` (`.npz` with `probability` (N, K), and `index` and `true_label` (N,)
            where it has them), or one of scores alone: `.npy` (N, K) or `.csv` (comma-separated, no header).

    Raises:
        InputError: The file is missing, of another kind, or holds something else than finite numbers (N, K).
    """
    with reading(path, argument):
        return _checked(argument, path, _read(argument, path))


def _checked(argument: str, path: Path, arrays: dict[str, np.ndarray]) -> Scores:
    """Return the scores that the arrays of a file hold."""
    scores = arrays[_ARRAY]
    # An empty .csv has no second dimension.
    if scores.ndim != 2 or not np.issubdtype(scores.dtype, np.number) or np.iscomplexobj(scores):
        raise InputError(f"{argument}: {path} must hold numbers (N, K), got {scores.shape} {scores.dtype}")
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise InputError(f"{argument}: {path} holds {scores[row, column]} for sample {row} and class {column}")
    table, true = torch.from_numpy(scores.astype(np.float64)), arrays.get("true_label")
    labels = None if true is None else torch.from_numpy(_per_sample(argument, path, "true_label", true, len(table)))
    if (index := arrays.get("index")) is not None:
        places = torch.from_numpy(_per_sample(argument, path, "index", index, len(table)))
        # A prediction of several processes may be in another order, and must not leave a sample out.
        order = places.argsort(stable=True)
        if not places[order].equal(torch.arange(len(table))):
            raise InputError(f"{argument}: {path} must have every index from 0 to {len(table) - 1} once")
        table, labels = table[order], None if labels is None else labels[order]
    return Scores(argument, path, table, labels)


def _per_sample(argument: str, path: Path, name: str, values: np.ndarray, length: int) -> np.ndarray:
    if values.shape != (length,) or not np.issubdtype(values.dtype, np.integer):
        raise InputError(
            f"{argument}: {path} must hold {name!r} of shape ({length},) in whole numbers, got {values.shape} "
            f"{values.dtype}"
        )
    return values.astype(np.int64)


def _read(argument: str, path: Path) -> dict[str, np.ndarray]:
    if path.suffix == ".csv":
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [[float(cell) for cell in line.split(",")] for line in lines if line.strip()]
        return {_ARRAY: np.array(rows, dtype=np.float64)}
    if path.suffix == ".npy":
        with path.open("rb") as file:
            return {_ARRAY: np.lib.format.read_array(file, allow_pickle=False)}
    if path.suffix != ".npz":
        raise InputError(f"{argument} must be a .csv, .npy or .npz file, got {path}")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive}
    if _ARRAY not in arrays:
        raise InputError(f"{argument}: {path} has no array {_ARRAY!r}, only {', '.join(arrays) or 'none'}")
    return arrays
