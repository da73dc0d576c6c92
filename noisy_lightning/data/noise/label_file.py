"""Given labels from a file: published noisy labels, labels by humans, and those of an earlier run."""

from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.noise.alignment import check_length, check_true_labels
from noisy_lightning.data.noise.class_conditional import LabelNoise
from noisy_lightning.data.noise.foreign import ForeignImages, take_images
from noisy_lightning.data.noise.label_columns import read_labels
from noisy_lightning.data.noise.label_formats import read_paths_and_labels
from noisy_lightning.data.noise.label_lists import labels_of, read_list
from noisy_lightning.data.noise.sampling import check_labels
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import UNKNOWN


@final
class LabelFile(LabelNoise):
    """Labels from elsewhere, one per training sample, in the order of the data set or by the paths of the images.

    The formats are those in which such labels are published:

    - `.csv` with a line of column names, such as `label,label_noisy` of SLN and IDN (Chen et al., 2021), and the
      `noise.csv` of a run, whose given labels come back bit for bit, and its foreign images with the help of `source`;
    - `.npy` (N,) and `.npz` with named (N,) arrays, of whole numbers;
    - `.json` with a list of N whole numbers, as DivideMix and its many successors keep them, or with named lists;
    - `.pt` with a tensor, an array or a list of N whole numbers, or a dictionary of such columns: the human labels of
      CIFAR-10N and CIFAR-100N (Wei et al., ICLR 2022), or the `clean_label_train` and `noise_label_train` of
      part-dependent noise (PTD; Xia et al., NeurIPS 2020). PTD splits off a tenth at random before it saves, so that a
      file may hold 45,000 of CIFAR-10's labels in an order that nobody knows: it is refused. A `.pt` file is a pickle,
      which could run anything, and is read with an allow-list of numpy's arrays and torch's tensors and nothing else;
    - `.txt` with the path of an image and its label on each line, as WebVision and Clothing1M have them, for data sets
      of files: the label is the last field, after a tab, a comma, a semicolon or blanks. Paths start from the folder
      of the data, in any order, and every training image must be listed; others are ignored. Labels are the names of
      classes, or their numbers where they are no names. Lines that begin with `#` are comments. Or with a number on
      each line. A `.csv` whose only columns are `path` and `label` is such a list, too.

    It can also correct labels that came with the images and whose true ones nobody knows, for example by the
    `labels.csv` of a page of suspects. A file that repeats the true labels (`label`, `true_label`, `clean_label` or
    `clean_label_train`, and `clean_coarse_label` beside `noisy_coarse_label`) shows that it is in the data set's order,
    and is refused where one of them differs. A file without them and without paths, such as every list in `.json`, is
    trusted to be in that order, and only its length is checked.

    Args:
        path: The file.
        column: Name of the given labels in it, or as CIFAR-N's code calls them: `worst` for `worse_label`, `aggre`,
            `rand1` to `rand3`, `noisy100`. None: the only column, or the one that is called `label_noisy`,
            `given_label`, `noisy_label`, `noise_label` or `noise_label_train`, or the only one beside true labels and
            `index`.
        source: The data set whose training images replace others where the `noise.csv` of a run with `OpenSet` says so.
    """

    def __init__(self, path: Path, column: str | None = None, source: NoisyDataModule | None = None) -> None:
        self.path = path
        self.column = column
        self.source = source
        readers = {".txt": read_list, ".csv": read_paths_and_labels}
        self._listed = readers[suffix](Path(path)) if (suffix := Path(path).suffix) in readers else []
        self._names: Sequence[str] | None = None
        self._class_names: Sequence[str] = ()
        self._labels = None if self._lists_paths else read_labels(Path(path), column)
        if self._lists_paths and column is not None:
            raise InputError(f"column must be left out for {path}, which lists paths and labels, got {column!r}")
        foreign = None if self._labels is None else self._labels.foreign
        if (foreign is None) != (source is None):
            raise InputError(
                f"source must be left out for {path}, which names no foreign images"
                if foreign is None
                else f"source must be the data set of the foreign images that {path} names (noise.json beside it)"
            )

    needs_true_labels: ClassVar[bool] = False

    @property
    def nominal_rate(self) -> float | None:
        """The share of wrong labels in the file, or None where the file does not have the true ones."""
        if self._labels is None:
            return None
        given, true = self._labels.given, self._labels.true
        if true is None or not (true != UNKNOWN).any():
            return None
        return (given != true)[true != UNKNOWN].double().mean().item()

    @property
    def _lists_paths(self) -> bool:
        return any(line.path for line in self._listed)

    def of_images(self, names: Sequence[str] | None, class_names: Sequence[str]) -> LabelNoise:
        """Return these labels for images with these paths, if the file names paths."""
        if not self._lists_paths:
            return self
        bound = copy(self)
        bound._names, bound._class_names = names, class_names
        return bound

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
        if self.source is None or self._labels is None or self._labels.foreign is None:
            return None
        return take_images(self.source.load(train=True), self._labels.foreign, shape)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Return the given labels of the file; draws nothing and ignores the images.

        Raises:
            InputError: The file's true labels, its length or its paths are not the data set's, or a given label is no
                class.
        """
        check_labels(labels[labels != UNKNOWN] if labels.dtype == torch.int64 else labels, num_classes)
        path = Path(self.path)
        if self._labels is None:
            return labels_of(f"path: {path}", self._listed, self._names, self._class_names)
        given, true = self._labels.given, self._labels.true
        check_length("path", path, len(given), labels, self._labels.found)
        if true is not None:
            check_true_labels("path", path, true, labels)
        outside = ((given < 0) | (given >= num_classes)).nonzero().squeeze(1)
        if len(outside):
            first = int(outside[0])
            raise InputError(
                f"path: {path} must hold labels in [0, {num_classes - 1}], got {int(given[first])} for sample {first}"
            )
        return given.clone()
