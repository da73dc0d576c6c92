"""Your own images in a table of paths and labels."""

import csv
import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, final

import torch

from noisy_lightning.data.arguments import check_alike
from noisy_lightning.data.sets.file_data import FileDataModule, Listing, Listings
from noisy_lightning.data.sets.folders import check_inside
from noisy_lightning.data.sets.own_labels import number_or_name
from noisy_lightning.data.sets.sources import number_groups
from noisy_lightning.errors import InputError, reading

_SPLITS = ("train", "val", "test")
_TRUSTED = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}
_MISSING = ("", "nan", "-1")  # ways of tables to say that there is no label
_LISTED = 20  # classes that a message lists


class TableLine(NamedTuple):
    """A line of the table."""

    where: str
    """File and line, as the beginning of an error."""
    path: str
    label: str
    true_label: str
    """Empty where nobody knows it."""
    split: str
    trusted: bool
    group: str
    """Empty where the image is in none."""


@final
class ImageTable(FileDataModule):
    """Your own images, listed in a CSV file whose first line names the columns.

    - `path`: of an image, relative to `root`.
    - `label`: its given label, a name or a number.
    - `true_label`, if there is such a column: its true label; empty where nobody knows it.
    - `split`, if there is one: `train` (or empty), `val` or `test`. What is `val` is never trained on.
    - `trusted`, if there is one: 1 or true where the given label is known to be right; 0, false or empty elsewhere.
    - `group`, if there is one: any text that names the images which belong together, such as those of a patient, a
      burst or a video; empty where an image is in no group. Groups of the test set are not used.

    Other columns are ignored. Classes are the values of `label` that occur in training, whole numbers in their order
    before names in theirs. An index counts the lines of train and val in their order. In the test set, `label` counts
    as true where `true_label` is empty.

    Args:
        csv: The file: comma-separated, UTF-8.
        root: Folder that paths start from and that no image may lie outside of; None: that of the file.
        classes: Names of the classes, by label; None: those that occur.
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

    def __init__(self, csv: Path, root: Path | None = None, classes: list[str] | None = None, **arguments: Any) -> None:
        self.csv, self.classes = Path(csv), classes
        if classes and len(set(classes)) < len(classes):
            raise InputError(f"data.classes must all differ, got {', '.join(classes)}")
        super().__init__(self.csv.parent if root is None else root, **arguments)

    def list_files(self) -> Listings:
        """Return the images that the table lists."""
        rows = read_rows(self.csv)
        self._check_paths(rows)
        train, test = ([row for row in rows if (row.split == "test") == is_test] for is_test in (False, True))
        if not train:
            raise InputError(f"data.csv: {self.csv} lists no image to train on")
        classes = self.classes or self._occurring(train)
        by_name = {name: label for label, name in enumerate(classes)}
        return Listings(classes, self._training(train, by_name), self._test_listing(test, by_name) if test else None)

    def _occurring(self, rows: Sequence[TableLine]) -> list[str]:
        """Return the labels that occur, whole numbers before names."""
        classes = sorted({row.label for row in rows}, key=number_or_name)
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

    def _training(self, rows: Sequence[TableLine], classes: Mapping[str, int]) -> Listing:
        given = torch.tensor([_label(row.where, row.label, classes) for row in rows])
        true = torch.tensor([_label(row.where, row.true_label, classes) if row.true_label else -1 for row in rows])
        trusted = torch.tensor([row.trusted for row in rows])
        wrong = ((trusted | self.clean) & (true >= 0) & (true != given)).nonzero()
        if len(wrong):
            row = rows[int(wrong[0])]
            reason = "trusted" if row.trusted else "right by data.clean"
            raise InputError(f"{row.where}: the label {row.label!r} is {reason}, but true_label is {row.true_label!r}")
        validation = torch.tensor([row.split == "val" for row in rows])
        return Listing(
            self.root,
            [row.path for row in rows],
            given,
            given if self.clean else true,
            validation if validation.any() else None,
            trusted if trusted.any() else None,
            number_groups(row.group for row in rows),
        )

    def _test_listing(self, rows: Sequence[TableLine], classes: Mapping[str, int]) -> Listing:
        labels = torch.tensor([_label(row.where, row.true_label or row.label, classes) for row in rows])
        return Listing(self.root, [row.path for row in rows], labels, labels)

    def _check_paths(self, rows: Sequence[TableLine]) -> None:
        """Refuse a path that leads out of the root, is listed twice or is missing."""
        real_root = self.root.resolve()
        checked: set[Path] = set()
        lines: dict[str, str] = {}
        for row in rows:
            path = self.root / row.path
            if row.path in lines:
                raise InputError(f"{row.where}: {row.path} is there twice, first in {lines[row.path]}")
            lines[row.path] = row.where.rpartition(", ")[2]
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


def read_rows(path: Path) -> list[TableLine]:
    """Read a table.

    Raises:
        InputError: It cannot be read, lacks a column, or a line is not as `ImageTable` wants it.
    """
    with reading(path, "data.csv"), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        reader.fieldnames = columns = [name.strip() for name in reader.fieldnames or []]
        if not {"path", "label"} <= set(columns) or len(set(columns)) < len(columns):
            named = ", ".join(columns) or "nothing"
            raise InputError(f"data.csv: {path} must name the columns path and label in its first line, not {named}")
        return [_row(f"data.csv: {path}, line {reader.line_num}", cells) for cells in reader]


def _row(where: str, cells: Mapping[str | None, Any]) -> TableLine:
    if None in cells or None in cells.values():
        raise InputError(f"{where}: there are not as many cells as columns in the first line")
    path, label, true_label, split, trusted, group = (
        str(cells.get(name, "")).strip() for name in ("path", "label", "true_label", "split", "trusted", "group")
    )
    relative = PurePosixPath(path)
    if not path or "\0" in path:
        raise InputError(f"{where}: the path is empty")
    if relative.is_absolute() or ".." in relative.parts:
        raise InputError(f"{where}: the path must be relative to data.root, without '..', got {path}")
    if not _name(label):
        raise InputError(f"{where}: there is no label for {path}, got {label!r}: fill it in or remove the line")
    if split not in ("", *_SPLITS):
        raise InputError(f"{where}: split must be train, val, test or empty, got {split!r}")
    if trusted.lower() not in _TRUSTED:
        raise InputError(f"{where}: trusted must be 1, 0, true, false or empty, got {trusted!r}")
    is_trusted = _TRUSTED[trusted.lower()]
    return TableLine(where, relative.as_posix(), _name(label), _name(true_label), split, is_trusted, group)


def _name(cell: str) -> str:
    """Return a label as text, empty where there is none."""
    # Beside empty cells, pandas writes the label 3 as 3.0.
    return "" if cell.lower() in _MISSING else re.sub(r"^(\d+)\.0+$", r"\1", cell)


def _label(where: str, name: str, classes: Mapping[str, int]) -> int:
    if name not in classes:
        listed = ", ".join(list(classes)[:_LISTED]) + ", …" * (len(classes) > _LISTED)
        raise InputError(f"{where}: {name!r} is no class of the training images, which are {listed}")
    return classes[name]
