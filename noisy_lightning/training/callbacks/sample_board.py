"""What TensorBoard shows of the training samples beside plain curves."""

import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from noisy_lightning.data.labels import realised_matrix
from noisy_lightning.errors import InputError
from noisy_lightning.figures.samples import (
    loss_and_memorization,
    loss_histograms,
    sample_grid,
    transition_matrices,
)
from noisy_lightning.figures.style import as_array
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN, EpochRecord
from noisy_lightning.runs.records import load

# Title and tags, as patterns, of each chart of the tab "custom scalars".
_CHARTS = (
    ("loss of clean and of noisy samples", ["train/loss_clean", "train/loss_noisy"]),
    ("noisy samples memorized, corrected, neither", ["train/memorised", "train/corrected", "train/neither"]),
    ("AUROC of the loss as noise detector", ["train/auroc"]),
    ("training accuracy on given and on true labels", ["train/acc", "train/acc_true"]),
    ("validation accuracy on given and on true labels", ["val/acc", "val/acc_true"]),
    ("training accuracy of each class", ["train_class/.*"]),
    ("selection: kept, label precision, label recall", ["train/kept", "train/label_precision", "train/label_recall"]),
)
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


class SampleBoard:
    """Lays out charts that compare clean with noisy samples, and draws pictures.

    Args:
        writer: of the run.
    """

    def __init__(self, writer: SummaryWriter) -> None:
        self.writer = writer
        self._charts: dict[str, list[object]] = {}
        self._tags: set[str] = set()

    def lay_out(self, tags: Iterable[str]) -> None:
        """Put curves that belong together into one chart; a later call adds what has come up since.

        Args:
            tags: of curves; a chart without any of its curves is left out.
        """
        self._tags.update(tags)
        charts: dict[str, list[object]] = {}
        for title, patterns in _CHARTS:
            shown = [f"^{pattern}$" for pattern in patterns if any(re.fullmatch(pattern, tag) for tag in self._tags)]
            if shown:
                charts[title] = ["Multiline", shown]
        if charts != self._charts:
            self._charts = charts
            self.writer.add_custom_scalars({"Clean and noisy samples": charts})

    def draw(self, run: Path, epoch: int, record: EpochRecord, data: LabeledData) -> None:
        """Add the course of clean and noisy losses, their histograms and the samples of highest loss.

        Takes about 0.3 s, and more with hundreds of recorded epochs.

        Args:
            run: the run's folder, which holds the record of this epoch already.
            epoch: counted from 0.
            record: of this epoch.
            data: what the record is about.
        """
        # A picture is not worth a run: without a noise file, or beside a damaged record, there is none.
        with suppress(InputError):
            # Drawn although the charts hold the same curves: there, the marker of a curve differs between runs.
            self._add("loss_and_memorisation", epoch, loss_and_memorization(load(run), stacked=True))
        labels, true_labels = data.epoch_labels(epoch).numpy(), data.true_labels.numpy()
        clean, noisy = true_labels == labels, (true_labels != UNKNOWN) & (true_labels != labels)
        self._add("loss_histograms", epoch, loss_histograms(record.loss, clean, noisy, f"epoch {epoch}"))

        ranked = np.where(np.isnan(record.loss), -np.inf, record.loss)
        worst = np.argsort(-ranked, kind="stable")[: _GRID_ROWS * _GRID_COLUMNS]
        worst = worst[record.prediction[worst] >= 0]
        names = np.array(data.class_names, dtype=object)
        grid = sample_grid(
            data.train_images(torch.from_numpy(worst)).cpu().numpy(),
            given=names[labels[worst]],
            true=[_true_name(data.class_names, label) for label in true_labels[worst].tolist()],
            values=record.loss[worst],
            title=f"epoch {epoch}: highest losses, given labels bold",
            columns=_GRID_COLUMNS,
        )
        self._add("highest_losses", epoch, grid)

    def draw_transition(self, epoch: int, transition: Tensor, data: LabeledData) -> None:
        """Add the transition matrix that the method works with, beside the realized one where labels are known.

        Args:
            epoch: counted from 0.
            transition: (K, K), rows over true classes.
            data: what is trained on.
        """
        matrices = {"the method's": transition.numpy()}
        realised = realised_matrix(data.true_labels, data.epoch_labels(epoch), len(transition)).numpy()
        if realised.any():
            matrices = {"realized": realised, **matrices}
        figure = transition_matrices(matrices, data.class_names, f"transition matrix, epoch {epoch}")
        self._add("transition_matrix", epoch, figure)

    def _add(self, name: str, epoch: int, figure: Figure) -> None:
        # add_figure would load pyplot, and with it a window system where there is one.
        self.writer.add_image(f"train_samples/{name}", as_array(figure), epoch, dataformats="HWC")


def _true_name(class_names: list[str], label: int) -> str | None:
    """Return what a picture shows; None where nobody knows."""
    if label == UNKNOWN:
        return None
    return "none of these" if label == FOREIGN else class_names[label]
