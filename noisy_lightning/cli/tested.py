"""What a test leaves in the folder of a run and shows: classes, confusions, calibration, the hardest images."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from noisy_lightning.cli.class_report import Answers, class_table, write_classes, write_picture, write_rows
from noisy_lightning.cli.screen import print_table
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.training.metrics import TestedImages

FOLDER = "test"
"""Of a run: has a folder for each checkpoint, and that one for each further test set."""
_SHEET = 25  # images


def write_tested(
    run: Path, checkpoint: str, epoch: int, tested: Mapping[str, TestedImages], data: NoisyDataModule, pictures: bool
) -> Path:
    """Write what a checkpoint made of the test images.

    `classes.csv`, `confusion.csv`, `calibration.csv` and `images.csv`, and the pictures `confusion.png`,
    `calibration.png` and `hardest.png`, are in `test/<checkpoint>`, those of a further test set in
    `test/<checkpoint>/<name>`.

    Args:
        run: The run's folder.
        checkpoint: What results call it.
        epoch: That of the weights, counted from 0.
        tested: By the name of the test set, as metrics are called.
        data: Which these are of.
        pictures: Whether to draw.

    Returns:
        The checkpoint's folder.
    """
    # Dots at an end could make it a folder above, of which all would be removed.
    place = run / FOLDER / (re.sub(r"[^\w.=-]+", "_", checkpoint).strip("_.") or "weights")
    # What an earlier test has left, of test sets that this one does not have, would pass for its own.
    shutil.rmtree(place, ignore_errors=True)
    for name, images in tested.items():
        further = name.removeprefix("test").removeprefix("_")
        title = f"{run.parent.name}/{run.name}, {checkpoint} (epoch {epoch + 1}), {name.replace('_', ' ', 1)} images"
        write_classes(place / further, answers_of(images), data.class_names, title, pictures)
        hardest = images.loss.nan_to_num(nan=torch.inf).argsort(descending=True, stable=True)
        _write_images(place / further, _row(images, hardest), data.class_names, _names(data, further))
        if pictures:
            few = _row(images, hardest[:_SHEET])
            _draw(place / further / "hardest.png", few, data.class_names, data.test_images(few.index, name), title)
    return place


def show_classes(tested: Mapping[str, Mapping[str, TestedImages]], class_names: Sequence[str]) -> None:
    """Print what becomes of the classes of each test set.

    Args:
        tested: By checkpoint and name of the test set.
        class_names: K names, by label.
    """
    for name in next(iter(tested.values()), {}):
        answers = {checkpoint: answers_of(seen[name]) for checkpoint, seen in tested.items()}
        table = class_table(answers, class_names)
        print(f"\n{name.replace('_', ' ', 1)}, in %:")
        if table.before:
            print(table.before)
        print_table(table.rows)
        if table.after:
            print(table.after)


def answers_of(images: TestedImages) -> Answers:
    """Return what is reported class by class."""
    return Answers(images.label.numpy(), images.predicted.numpy(), images.probability.numpy())


def _names(data: NoisyDataModule, further: str) -> Sequence[str] | None:
    of = data.test_sets[further] if further else data
    return of.test_names if of.has_test_set else of.train_names


def _row(images: TestedImages, order: Tensor) -> TestedImages:
    return TestedImages(*(column[order] for column in images))


def _write_images(folder: Path, images: TestedImages, class_names: Sequence[str], names: Sequence[str] | None) -> None:
    """Write `images.csv`: all images in the order that they have, which is that of their losses."""
    columns = ["index" if names is None else "path", "true", "predicted", "probability", "loss"]
    rows = zip(*(column.tolist() for column in images), strict=True)
    write_rows(
        folder / "images.csv",
        columns,
        (
            (index if names is None else names[index], class_names[label], class_names[predicted], *numbers)
            for index, label, predicted, *numbers in rows
        ),
    )


def _draw(path: Path, images: TestedImages, class_names: Sequence[str], pictures: Tensor, title: str) -> None:
    """Draw a sheet of images."""
    from noisy_lightning.figures.samples import sample_grid  # noqa: PLC0415  # slow to import

    predicted, true = ([class_names[k] for k in column.tolist()] for column in (images.predicted, images.label))
    heading = f"{title}: highest losses, predicted class bold"
    write_picture(path, sample_grid(pictures.numpy(), predicted, true, images.loss.numpy(), heading, columns=5))
