"""Given labels from a file: published noisy labels, labels by humans, and those of an earlier run."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.noise.alignment import check_length, check_true_labels
from noisy_lightning.data.noise.class_conditional import LabelNoise
from noisy_lightning.data.noise.foreign import ForeignImages, take_images
from noisy_lightning.data.noise.label_columns import read_labels
from noisy_lightning.data.noise.sampling import check_labels
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import UNKNOWN


@final
class LabelFile(LabelNoise):
    """Labels from elsewhere, one per training sample, in the order of the data set.

    The formats are those in which such labels are published:

    - `.csv` with a line of column names, such as `label,label_noisy` of SLN and IDN (Chen et al., 2021), and the
      `noise.csv` of a run, whose given labels come back bit for bit, and its foreign images with the help of `source`;
    - `.npy` (N,) and `.npz` with named (N,) arrays, of whole numbers;
    - `.pt` with a dictionary of columns: the human labels of CIFAR-10N and CIFAR-100N (Wei et al., ICLR 2022). It is
      a pickle, which could run anything, and is read with an allow-list of numpy's arrays and nothing else.

    It can also correct labels that came with the images and whose true ones nobody knows, for example by the
    `labels.csv` of a page of suspects. A file that repeats the true labels (`label`, `true_label` or `clean_label`,
    and `clean_coarse_label` beside `noisy_coarse_label`) shows that it is in the data set's order, and is refused where
    one of them differs. A file without them can be checked by its length only.

    Args:
        path: The file.
        column: Name of the given labels in it, or as CIFAR-N's code calls them: `worst` for `worse_label`, `aggre`,
            `rand1` to `rand3`, `noisy100`. None: the only column, or the one that is called `label_noisy`,
            `given_label`, `noisy_label` or `noise_label`, or the only one beside true labels and `index`.
        source: The data set whose training images replace others where the `noise.csv` of a run with `OpenSet` says so.
    """

    def __init__(self, path: Path, column: str | None = None, source: NoisyDataModule | None = None) -> None:
        self.path = path
        self.column = column
        self.source = source
        self._labels = read_labels(Path(path), column)
        if (self._labels.foreign is None) != (source is None):
            raise InputError(
                f"source must be left out for {path}, which names no foreign images"
                if self._labels.foreign is None
                else f"source must be the data set of the foreign images that {path} names (noise.json beside it)"
            )

    needs_true_labels: ClassVar[bool] = False

    @property
    def nominal_rate(self) -> float | None:
        """The share of wrong labels in the file, or None where the file does not have the true ones."""
        given, true = self._labels.given, self._labels.true
        if true is None or not (true != UNKNOWN).any():
            return None
        return (given != true)[true != UNKNOWN].double().mean().item()

    def transition_matrix(self, num_classes: int) -> None:
        """Return None: the file holds labels, and no rule that they come from."""

    def prepare(self, load: Callable[[], Source], num_classes: int) -> None:
        """Prepare the files of the other data set."""
        if self.source is not None:
            self.source.prepare_data()

    def foreign_images(
        self, count: int, shape: tuple[int, int, int], generator: torch.Generator
    ) -> ForeignImages | None:
        """Return the foreign images that the file names."""
        if self.source is None or self._labels.foreign is None:
            return None
        return take_images(self.source.load(train=True), self._labels.foreign, shape)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Return the given labels of the file; draws nothing and ignores the images.

        Raises:
            InputError: The file's true labels or its length are not the data set's, or a given label is no class.
        """
        check_labels(labels[labels != UNKNOWN] if labels.dtype == torch.int64 else labels, num_classes)
        given, true = self._labels.given, self._labels.true
        path = Path(self.path)
        check_length("path", path, len(given), labels)
        if true is not None:
            check_true_labels("path", path, true, labels)
        outside = ((given < 0) | (given >= num_classes)).nonzero().squeeze(1)
        if len(outside):
            first = int(outside[0])
            raise InputError(
                f"path: {path} must hold labels in [0, {num_classes - 1}], got {int(given[first])} for sample {first}"
            )
        return given.clone()
