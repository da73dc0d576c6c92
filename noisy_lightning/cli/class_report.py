"""What classes a classifier gets wrong, and how sure it is of them: as files of a folder, and as a short table."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noisy_lightning.cli.screen import plain
from noisy_lightning.runs.classification import calibration, class_scores, confusion_matrix
from noisy_lightning.runs.files import as_cell, replacing, write_bytes
from noisy_lightning.runs.measures import Floats, Ints

_ALL = 20  # classes of which a table shows all
_WORST = 10  # of more
_CONFUSED = 3  # pairs of classes
_DPI = 150


class Answers(NamedTuple):
    """What a classifier made of M images whose classes are known."""

    label: Ints
    """(M,) true labels in [0, K)."""
    predicted: Ints
    """(M,)"""
    probability: Floats
    """(M,) of the predicted class."""


def write_classes(folder: Path, answers: Answers, class_names: Sequence[str], title: str, pictures: bool) -> None:
    """Write `classes.csv`, `confusion.csv` and `calibration.csv`, and pictures of the latter two.

    Args:
        folder: Where to; it is made if missing.
        answers: What to report.
        class_names: K names, by label.
        title: Of the pictures.
        pictures: Whether there are any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    confusion = confusion_matrix(answers.label, answers.predicted, len(class_names))
    sure = calibration(answers.probability, answers.predicted == answers.label)
    scores = class_scores(confusion)
    rows = zip(class_names, *(column.tolist() for column in scores), strict=True)
    write_rows(folder / "classes.csv", ["class", "n", "predicted", "precision", "recall", "f1"], rows)
    named = ([name, *row] for name, row in zip(class_names, confusion.tolist(), strict=True))
    write_rows(folder / "confusion.csv", ["true class", *class_names], named)
    bins = zip(sure.edges[:-1], sure.edges[1:], sure.count, sure.confidence, sure.accuracy, strict=True)
    write_rows(folder / "calibration.csv", ["above", "up_to", "n", "confidence", "accuracy"], bins)
    if pictures:
        # Slow to import.
        from noisy_lightning.figures.classification import confusion_picture, reliability_diagram  # noqa: PLC0415

        write_picture(folder / "confusion.png", confusion_picture(confusion, class_names, title))
        write_picture(folder / "calibration.png", reliability_diagram(sure, title))


def remove_classes(folder: Path) -> None:
    """Remove what `write_classes` leaves, and the folder if nothing else is in it."""
    for name in ("classes.csv", "confusion.csv", "calibration.csv", "confusion.png", "calibration.png"):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def write_picture(path: Path, figure: Any) -> None:
    """Write a figure of matplotlib as PNG."""
    from noisy_lightning.figures.style import as_array, as_png  # noqa: PLC0415  # slow to import

    write_bytes(path, as_png(as_array(figure, _DPI), _DPI))


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table; what is not a number is empty."""
    with replacing(path) as staged, staged.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(as_cell, columns))
        # NaN is not equal to itself.
        writer.writerows(["" if value != value else as_cell(value) for value in row] for row in rows)  # noqa: PLR0124


class ClassTable(NamedTuple):
    """What is shown of classes."""

    rows: list[list[str]]
    """Heads, then a class each: its name, how many images are of it, and numbers in percent."""
    before: str
    """What is said before the table; may be empty."""
    after: str
    """What is said after it; may be empty."""

    def __str__(self) -> str:
        """Return it as text."""
        return "\n".join(filter(None, [self.before, plain(self.rows), self.after]))


def class_table(answers: Mapping[str, Answers], class_names: Sequence[str]) -> ClassTable:
    """Return precision, recall and F1 of each class in percent; of more than 20, of the ten of lowest recall.

    Args:
        answers: By what a column is called, such as `best`; the last of them decides which classes are worst, and which
            are said to be confused most often. All are about the same images.
        class_names: K names, by label.
    """
    matrices = [confusion_matrix(one.label, one.predicted, len(class_names)) for one in answers.values()]
    scores = [class_scores(matrix) for matrix in matrices]
    order = np.arange(len(class_names))
    if len(class_names) > _ALL:
        order = np.argsort(scores[-1].recall, kind="stable")[:_WORST]  # NaN comes last
    heads = ["" if name in ("", next(iter(answers))) and len(answers) == 1 else f"{name}:" for name in answers]
    rows = [["class", "n", *(cell for head in heads for cell in (f"{head} precision".strip(), "recall", "F1"))]]
    rows += [
        [
            class_names[k],
            f"{scores[-1].count[k]:,}",
            *(_percent(column[k]) for one in scores for column in (one.precision, one.recall, one.f1)),
        ]
        for k in order.tolist()
    ]
    few = f"the {_WORST} of {len(class_names)} classes of lowest recall, in %:" if len(class_names) > _ALL else ""
    pairs = _confused(matrices[-1], class_names)
    return ClassTable(rows, few, f"most often confused: {pairs}" if pairs else "")


def _confused(confusion: Ints, class_names: Sequence[str]) -> str:
    """Return which classes are taken for which others most often."""
    wrong = confusion - np.diag(confusion.diagonal())
    top = np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSED]
    pairs = [(int(true), int(taken)) for true, taken in zip(*np.unravel_index(top, wrong.shape), strict=True)]
    return ", ".join(
        f"{class_names[true]} as {class_names[taken]} ({wrong[true, taken]:,} of {confusion[true].sum():,})"
        for true, taken in pairs
        if wrong[true, taken]
    )


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f}"
