"""Your own images in a table of paths and labels."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final, get_args

import numpy as np
import torch

from noisy_lightning.data.annotators import Annotations, Consensus, Rule, consensus
from noisy_lightning.data.arguments import check_alike, check_choice
from noisy_lightning.data.sets.columns import SYNONYMS, Columns, find_columns
from noisy_lightning.data.sets.file_data import FileDataModule, Listing, Listings
from noisy_lightning.data.sets.folders import check_inside
from noisy_lightning.data.sets.own_labels import number_or_name
from noisy_lightning.data.sets.sources import Source, number_groups
from noisy_lightning.data.sets.table_file import read_table
from noisy_lightning.data.sets.table_lines import TableLine, by_image, read_lines
from noisy_lightning.errors import InputError, reading

_LISTED = 20  # classes that a message lists


@final
class ImageTable(FileDataModule):
    """Your own images, listed in a table whose first line names the columns.

    - `path`: of an image, from `root` on, with slashes or backslashes; or absolute, but below `root`.
    - `label`: its given label, a name or a number.
    - `true_label`, if there is such a column: its true label; empty where nobody knows it.
    - `split`, if there is one: `train` (or empty), `val` or `test`. What is `val` is never trained on.
    - `trusted`, if there is one: 1 or true where the given label is known to be right; 0, false or empty elsewhere.
    - `group`, if there is one: any text that names the images which belong together, such as those of a patient, a
      burst or a video; empty where an image is in no group. Groups of the test set are not used.
    - `annotator`, if there is one: who gave the label. Then an image may have a line for each of its annotators.

    Usual other names are understood, such as `filename`, `image`, `class`, `category`, `subset`, and `validation` for
    `val`; `columns` names all others. Other columns are ignored. Classes are the values of `label` that occur in
    training, whole numbers in their order before names in theirs. An index counts the images of train and val in the
    order of their lines. In the test set, `label` counts as true where `true_label` is empty.

    Where there are several annotators, in lines or in columns such as `label_1`, `label_2`, a label is their
    `consensus`, that of training and of test each for itself. `consensus.csv` among the files of a run has, for each
    image, the share of its annotations that agree with it, `annotators.csv` how good each annotator is.

    Args:
        csv: The file. Text with commas, semicolons, tabs or bars, UTF-8 or as spreadsheets write it; or Parquet, whose
            name ends in .parquet (`pip install 'noisy_lightning[parquet]'`).
        root: Folder that paths start from and that no image may lie outside of; None: that of the file.
        classes: Names of the classes, by label; None: those that occur.
        columns: Names of columns by what they hold, such as `{path: photo, label: species}`, for those that are called
            neither as above nor usually; null where there shall be none. Names of several columns of labels are those
            of annotators: `{label: [anna, ben]}`; who has not seen an image leaves its cell empty.
        encoding: Of the text; None: by its byte order mark, else UTF-8, else Windows-1252.
        consensus: Of several annotators: `majority`, of which a tie goes to the label that is more probable by the
            model of Dawid and Skene (1979); or `dawid_skene`, the most probable label, by which annotators count by how
            good they are.
        **arguments: Those of every data set of files.

    Example:
        >>> from PIL import Image
        >>> with open("labels.csv", "w") as file:
        ...     print("path,label", file=file)
        ...     for number in range(20):
        ...         print(f"{number}.png,{['even', 'odd'][number % 2]}", file=file)
        ...         Image.new("L", (8, 8)).save(f"{number}.png")
        >>> data = ImageTable(Path("labels.csv"), image_size=8, channels=1)
        >>> data.setup("fit")
        >>> data.class_names, len(data.labels)
        (['even', 'odd'], 20)
    """

    def __init__(
        self,
        csv: Path,
        root: Path | None = None,
        classes: list[str] | None = None,
        columns: dict[str, str | list[str] | None] | None = None,
        encoding: str | None = None,
        consensus: Literal["majority", "dawid_skene"] = "majority",
        **arguments: Any,
    ) -> None:
        self.csv, self.classes = Path(csv), classes
        self.columns: Columns = columns or {}
        self.encoding = encoding
        if classes and len(set(classes)) < len(classes):
            raise InputError(f"data.classes must all differ, got {', '.join(classes)}")
        check_choice("consensus", consensus, get_args(Rule))
        self.consensus = consensus
        super().__init__(self.csv.parent if root is None else root, **arguments)

    def list_files(self) -> Listings:
        """Return the images that the table lists."""
        rows = self.lines()
        self._check_paths(rows)
        train, test = ([row for row in rows if (row.split == "test") == is_test] for is_test in (False, True))
        if not train:
            raise InputError(f"data.csv: {self.csv} lists no image to train on")
        classes = self.classes or self._occurring(train)
        by_name = {name: label for label, name in enumerate(classes)}
        return Listings(classes, self._training(train, by_name), self._test_listing(test, by_name) if test else None)

    def lines(self) -> list[TableLine]:
        """Return what the table says of each image, that of several annotators together.

        Raises:
            InputError: The table cannot be read, or a line is not as it should be.
        """
        table = read_table(self.csv, self.encoding, self.columns)
        where = f"data.csv: {self.csv}"
        found = find_columns(where, table.columns, self.columns, SYNONYMS)
        if not {"path", "label"} <= found.keys():
            named = ", ".join(table.columns) or "nothing"
            raise InputError(
                f"{where} must name the columns path and label in its first line, not {named}; data.columns says which "
                "of them they are"
            )
        renamed = [
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} the {meaning}{'s' * (len(names) > 1)}"
            for meaning, names in found.items()
            if names != [meaning] and meaning not in self.columns
        ]
        self._remark = "; ".join(filter(None, [table.remark, *renamed]))
        rows = by_image(read_lines(table, found, self.root))
        self.found_columns = found
        self.is_crowd = len(found["label"]) > 1 or any(len(row.annotations) > 1 for row in rows)
        return [row._replace(label="") for row in rows] if self.is_crowd else rows

    def load(self, train: bool) -> Source:
        """Return the training or the test set, and say how the table was understood where that had to be guessed.

        Raises:
            InputError: There is no test set, or images are broken.
        """
        if train and self._remark:
            self._say(f"{self.csv}: {self._remark}")
        return super().load(train)

    def _occurring(self, rows: Sequence[TableLine]) -> list[str]:
        """Return the labels that occur, whole numbers before names."""
        classes = sorted({label for row in rows for label in self._labels(row)}, key=number_or_name)
        check_alike(f"data.csv: {self.csv}", classes, "correct one, or name all classes by data.classes")
        for row in rows:
            if row.true_label and row.true_label not in classes:
                hint = difflib.get_close_matches(row.true_label, classes, n=1)
                meant = f"did you mean {hint[0]}? " if hint else ""
                raise InputError(
                    f"{row.where}: true_label {row.true_label!r} is the label of no image; {meant}data.classes names "
                    "all classes where one has no image"
                )
        return classes

    def _labels(self, row: TableLine) -> list[str]:
        return list(row.annotations.values()) if self.is_crowd else [row.label]

    def _consensus(self, rows: Sequence[TableLine], classes: Mapping[str, int]) -> Consensus:
        annotators = sorted({name for row in rows for name in row.annotations})
        numbers = {name: number for number, name in enumerate(annotators)}
        cells = [
            (image, numbers[name], _label(row.where, label, classes))
            for image, row in enumerate(rows)
            for name, label in row.annotations.items()
        ]
        image, annotator, label = np.array(cells, dtype=np.int64).T
        return consensus(Annotations(image, annotator, label, len(rows), annotators, len(classes)), self.consensus)

    def _training(self, rows: Sequence[TableLine], classes: Mapping[str, int]) -> Listing:
        found = self._consensus(rows, classes) if self.is_crowd else None
        if found is None:
            given = torch.tensor([_label(row.where, row.label, classes) for row in rows])
        else:
            given = found.labels
            self._check_chosen(rows, given, classes)
        true = torch.tensor([_label(row.where, row.true_label, classes) if row.true_label else -1 for row in rows])
        trusted = torch.tensor([row.trusted for row in rows])
        wrong = ((trusted | self.clean) & (true >= 0) & (true != given)).nonzero()
        if len(wrong):
            row, label = rows[int(wrong[0])], list(classes)[int(given[wrong[0]])]
            reason = "trusted" if row.trusted else "right by data.clean"
            raise InputError(f"{row.where}: the label {label!r} is {reason}, but true_label is {row.true_label!r}")
        validation = torch.tensor([row.split == "val" for row in rows])
        return Listing(
            self.root,
            [row.path for row in rows],
            given,
            given if self.clean else true,
            validation if validation.any() else None,
            trusted if trusted.any() else None,
            number_groups(row.group for row in rows),
            found,
        )

    def _check_chosen(self, rows: Sequence[TableLine], given: torch.Tensor, classes: Mapping[str, int]) -> None:
        """Refuse a label that some annotator gave and that is no consensus: it is probably misspelled."""
        counts = given.bincount(minlength=len(classes))
        for name, label in {} if self.classes else classes.items():
            if not counts[label]:
                row = next(row for row in rows if name in row.annotations.values())
                raise InputError(
                    f"{row.where}: {name!r} is the consensus of no image: correct it, or name all classes by "
                    "data.classes"
                )

    def _test_listing(self, rows: Sequence[TableLine], classes: Mapping[str, int]) -> Listing:
        names = [row.label for row in rows]
        if self.is_crowd:
            listed = list(classes)
            names = [listed[label] for label in self._consensus(rows, classes).labels.tolist()]
        true = [_label(row.where, row.true_label or name, classes) for row, name in zip(rows, names, strict=True)]
        labels = torch.tensor(true)
        return Listing(self.root, [row.path for row in rows], labels, labels)

    def _check_paths(self, rows: Sequence[TableLine]) -> None:
        """Refuse a path that leads out of the root or is missing."""
        real_root = self.root.resolve()
        checked: set[Path] = set()
        for row in rows:
            path = self.root / row.path
            with reading(path, row.where):  # a name can be too long
                if path.parent not in checked and not path.parent.resolve().is_relative_to(real_root):
                    raise InputError(
                        f"{row.where}: {row.path} goes over a link that leads out of data.root {real_root}"
                    )
                checked.add(path.parent)
                check_inside(row.where, real_root, path)
                # One that is skipped where it is broken may be missing, too.
                if self.broken == "error" and not path.is_file():
                    raise InputError(f"{row.where}: there is no file {path}")


def _label(where: str, name: str, classes: Mapping[str, int]) -> int:
    if name not in classes:
        listed = ", ".join(list(classes)[:_LISTED]) + ", …" * (len(classes) > _LISTED)
        raise InputError(f"{where}: {name!r} is no class of the training images, which are {listed}")
    return classes[name]
