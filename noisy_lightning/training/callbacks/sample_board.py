"""Pictures of the training samples for loggers."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from noisy_lightning.data.labels import realised_matrix
from noisy_lightning.errors import InputError
from noisy_lightning.figures.samples import (
    loss_and_memorization,
    loss_histograms,
    sample_grid,
    transition_matrices,
)
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN, EpochRecord
from noisy_lightning.runs.records import load

# TensorBoard shrinks a picture to some 300 pixels: more columns would not be readable.
_GRID_ROWS, _GRID_COLUMNS = 3, 4


class LabeledData(Protocol):
    """What is asked of a data module after its `setup`."""

    labels: Tensor
    """(N,) given labels of the whole original training set."""
    true_labels: Tensor
    """(N,) true labels, -1 where unknown, -2 where the image is of none of the classes."""
    class_names: list[str]
    """K names."""

    def epoch_labels(self, epoch: int) -> Tensor:
        """Return the given labels (N,) that an epoch trains on; `labels` itself unless they are drawn anew."""

    def train_images(self, indices: Tensor) -> Tensor:
        """Return the pictures (n, C, H, W), uint8, not augmented."""


def pictures_of(run: Path, epoch: int, record: EpochRecord, data: LabeledData) -> Iterator[tuple[str, Figure]]:
    """Yield the course of clean and noisy losses, their histograms and the samples of highest loss, by name.

    Takes about 0.3 s, and more with hundreds of recorded epochs.

    Args:
        run: The run's folder, which holds the record of this epoch already.
        epoch: Counted from 0; the pictures' titles count from 1.
        record: Of this epoch.
        data: What the record is about.
    """
    # A picture is not worth a run: without a noise file, or beside a damaged record, there is none.
    with suppress(InputError):
        yield "loss_and_memorisation", loss_and_memorization(load(run), stacked=True)
    labels, true_labels = data.epoch_labels(epoch).numpy(), data.true_labels.numpy()
    clean, noisy = true_labels == labels, (true_labels != UNKNOWN) & (true_labels != labels)
    yield "loss_histograms", loss_histograms(record.loss, clean, noisy, f"epoch {epoch + 1}")

    ranked = np.where(np.isnan(record.loss), -np.inf, record.loss)
    worst = np.argsort(-ranked, kind="stable")[: _GRID_ROWS * _GRID_COLUMNS]
    worst = worst[record.prediction[worst] >= 0]
    names = np.array(data.class_names, dtype=object)
    grid = sample_grid(
        data.train_images(torch.from_numpy(worst)).cpu().numpy(),
        given=names[labels[worst]],
        true=[_true_name(data.class_names, label) for label in true_labels[worst].tolist()],
        values=record.loss[worst],
        title=f"epoch {epoch + 1}: highest losses, given labels bold",
        columns=_GRID_COLUMNS,
    )
    yield "highest_losses", grid


def transition_picture(epoch: int, transition: Tensor, data: LabeledData) -> Figure:
    """Draw the transition matrix that the method works with, beside the realized one where labels are known.

    Args:
        epoch: Counted from 0.
        transition: (K, K), rows over true classes.
        data: What is trained on.
    """
    matrices = {"the method's": transition.numpy()}
    realised = realised_matrix(data.true_labels, data.epoch_labels(epoch), len(transition)).numpy()
    if realised.any():
        matrices = {"realized": realised, **matrices}
    return transition_matrices(matrices, data.class_names, f"transition matrix, epoch {epoch + 1}")


def _true_name(class_names: list[str], label: int) -> str | None:
    """Return what a picture shows; None where nobody knows."""
    if label == UNKNOWN:
        return None
    return "none of these" if label == FOREIGN else class_names[label]
