"""Per-sample records of a run: written as one file per epoch, read back as arrays.

Neither Lightning nor torch is needed to read a run.
"""

import csv
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import replacing
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN, Bools, EpochRecord, Floats, Ints, measure

FOLDER = "records"
NOISE_FILE = "noise.csv"
_LARGEST_MARGIN = 65504.0  # in half precision
_LARGEST_LABEL = 32767  # in 16 bits
_NAME = re.compile(r"epoch_([0-9]{1,9})\.npz")
_ROWS = ("loss", "confidence", "prediction", "kept", "labels", "margin")  # the first three of which are always there


@dataclass(frozen=True)
class Records:
    """All that a run has recorded: the rows of its E epochs, and what is known of its N samples."""

    run: Path
    epochs: Ints
    """(E,) recorded epochs, counted from 0, ascending; a run that was cut has fewer, a damaged one gaps."""
    loss: Floats
    """(E, N) as in `EpochRecord`."""
    confidence: Floats
    """(E, N) to half precision."""
    prediction: Ints
    """(E, N) -1 exactly where not seen."""
    kept: Floats | None
    """(E, N), or None where no epoch recorded it; 1 for what was seen in an epoch that did not."""
    labels: Ints
    """(N,) given labels."""
    true_labels: Ints
    """(N,) true labels; -1 where nobody knows them, -2 where the image is of none of the classes."""
    split: NDArray[np.str_]
    """(N,) "train" or "val"."""
    epoch_labels: Ints | None = None
    """(E, N) given labels of each epoch, where they were drawn anew for each; None: `labels` are those of all."""
    margin: Floats | None = None
    """(E, N) to half precision, as in `EpochRecord`; NaN in epochs that did not record it, None where none did."""

    @property
    def is_clean(self) -> Bools:
        """(N,) the given label is known to be true; (E, N) where each epoch had labels of its own."""
        return np.equal(self.true_labels, self.labels if self.epoch_labels is None else self.epoch_labels)

    @property
    def is_noisy(self) -> Bools:
        """(N,) or (E, N) like `is_clean`: the given label is known to be false."""
        noisy: Bools = (self.true_labels != UNKNOWN) & ~self.is_clean
        return noisy

    def epoch(self, row: int) -> EpochRecord:
        """Return the record in row `row` of the arrays."""
        kept = None if self.kept is None else self.kept[row]
        labels = None if self.epoch_labels is None else self.epoch_labels[row]
        margin = None if self.margin is None else self.margin[row]
        return EpochRecord(self.loss[row], self.confidence[row], self.prediction[row], kept, labels, margin)

    def measures(self) -> dict[str, Floats]:
        """Return every measure of `measure` over the epochs, each (E,), NaN in epochs where it is unknown."""
        rows = [measure(self.epoch(row), self.labels, self.true_labels) for row in range(len(self.epochs))]
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: np.array([row.get(name, np.nan) for row in rows], np.float32) for name in names}


def write_epoch(folder: Path, epoch: int, record: EpochRecord) -> Path:
    """Write the record of one epoch, whole or not at all; an older record of that epoch is replaced.

    Args:
        folder: the run's folder of records; made if missing, in a folder that exists.
        epoch: counted from 0.
        record: confidence, margin and participation are stored to half precision.

    Returns:
        The file.
    """
    folder.mkdir(exist_ok=True)  # not the run's, which somebody may have deleted
    path = folder / f"epoch_{epoch:04d}.npz"
    rows: dict[str, NDArray[Any]] = {
        "loss": record.loss.astype(np.float32),
        "confidence": record.confidence.astype(np.float16),
        "prediction": record.prediction.astype(np.int16),
    }
    if record.kept is not None:
        rows["kept"] = record.kept.astype(np.float16)
    if record.labels is not None:
        rows["labels"] = record.labels.astype(np.int16)
    if record.margin is not None:
        rows["margin"] = record.margin.clip(-_LARGEST_MARGIN, _LARGEST_MARGIN).astype(np.float16)
    # An .npz as numpy writes it, but at zlib's fastest level: half the time for 1 % more space.
    with replacing(path) as staged, zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, row in rows.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, row)
    return path


def drop_epochs(folder: Path, first: int) -> None:
    """Remove the records from epoch `first` on: a run that goes on from there would mix them with its own."""
    for epoch, path in _find_epochs(folder).items():
        if epoch >= first:
            path.unlink()


def load(run: str | Path) -> Records:
    """Open the records of a run.

    Args:
        run: the run's folder, which holds `noise.csv` and `records/`; the run may still be going on.

    Raises:
        InputError: the folder is no run or has no record yet, or a file is damaged or of another data set.

    Example:
        >>> from noisy_lightning import load_records
        >>> records = load_records("runs/demo/0")
        >>> records.loss.shape, int(records.is_noisy.sum())  # two epochs of 1,437 samples
        ((2, 1437), 557)
        >>> records.measures()["auroc"].shape
        (2,)
    """
    run = Path(run)
    labels, true_labels, split = read_noise(run)
    found = _find_epochs(run / FOLDER)
    if not found:
        raise InputError(f"{run / FOLDER} holds no epoch_*.npz: the run has not finished its first epoch")
    epochs = np.array(sorted(found))
    shape = (len(epochs), len(labels))
    loss, confidence = np.empty(shape, np.float32), np.empty(shape, np.float32)
    prediction = np.empty(shape, np.int16)
    kept = epoch_labels = margin = None
    for row, epoch in enumerate(epochs):
        record = _read_epoch(found[int(epoch)], len(labels))
        loss[row], confidence[row], prediction[row] = record["loss"], record["confidence"], record["prediction"]
        if "kept" in record:
            # Epochs before a method starts to select have no such row: there every seen sample took part.
            kept = np.where(prediction >= 0, 1.0, np.nan).astype(np.float32) if kept is None else kept
            kept[row] = record["kept"]
        elif kept is not None:
            kept[row] = np.where(prediction[row] >= 0, 1.0, np.nan)
        if "labels" in record:
            # An epoch without such a row, the first one, has the labels of the run.
            epoch_labels = np.tile(labels, (len(epochs), 1)) if epoch_labels is None else epoch_labels
            epoch_labels[row] = record["labels"]
        if "margin" in record:
            margin = np.full(shape, np.nan, np.float32) if margin is None else margin
            margin[row] = record["margin"]
    return Records(run, epochs, loss, confidence, prediction, kept, labels, true_labels, split, epoch_labels, margin)


def last_predictions(run: str | Path, num_samples: int) -> tuple[Ints, bool]:
    """Return what the last recorded epoch predicted, without reading the others.

    Args:
        run: the run's folder.
        num_samples: N.

    Returns:
        (N,) predicted classes, -1 where not seen; and whether that epoch had labels of its own.

    Raises:
        InputError: the run has no record, or its file is damaged or of another data set.
    """
    found = _find_epochs(Path(run) / FOLDER)
    if not found:
        raise InputError(f"{Path(run) / FOLDER} holds no epoch_*.npz: the run has not finished its first epoch")
    record = _read_epoch(found[max(found)], num_samples)
    return record["prediction"], "labels" in record


def _find_epochs(folder: Path) -> dict[int, Path]:
    return {int(match[1]): path for path in folder.glob("*") if (match := _NAME.fullmatch(path.name))}


def read_noise(run: str | Path) -> tuple[Ints, Ints, NDArray[np.str_]]:
    """Return given labels, true labels and split as in `Records`, each (N,).

    Args:
        run: the run's folder.

    Raises:
        InputError: the folder is no run, or the file is damaged.
    """
    path = Path(run) / NOISE_FILE
    if not path.is_file():
        raise InputError(f"{path.parent} is no run folder: it has no {path.name}")
    with reading(path):
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        index = [int(row["index"]) for row in rows]
        labels = np.array([int(row["given_label"]) for row in rows], np.int64)
        true_labels = np.array([int(row["true_label"] or -1) for row in rows], np.int64)
        split = np.array([str(row["split"]) for row in rows])
    if not rows or index != list(range(len(rows))):
        raise InputError(f"{path} is damaged: its index should count 0, 1, 2, ...")
    if labels.min() < 0 or true_labels.min() < FOREIGN or max(labels.max(), true_labels.max()) > _LARGEST_LABEL:
        raise InputError(f"{path} is damaged: a label is below 0 or above {_LARGEST_LABEL}")
    return labels, true_labels, split


def _read_epoch(path: Path, num_samples: int) -> dict[str, NDArray[Any]]:
    try:
        with reading(path), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            record = {name: archive[name] for name in _ROWS if name in archive or name in _ROWS[:3]}
    except InputError as error:
        raise InputError(f"{error}: delete it to read the other epochs") from error
    for name, row in record.items():
        if row.ndim != 1 or row.dtype.kind not in "fiu":
            raise InputError(f"{path} is damaged: {name} should be numbers (N,), not {row.shape} {row.dtype}")
    if (lengths := {len(row) for row in record.values()}) != {num_samples}:
        raise InputError(
            f"{path} records {max(lengths)} samples, but {NOISE_FILE} beside it lists {num_samples}: "
            "they belong to different runs"
        )
    return record
