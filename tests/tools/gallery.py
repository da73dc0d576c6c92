"""Draws every figure that the package has, from small runs, on one page to look at: make gallery.

Runs on embedded digits are made once, in runs/gallery, and reused. Beside each picture as a screen shows it stands how
paper does, at its size and in grayscale.
"""

import argparse
import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from html import escape
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from time import monotonic
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from noisy_lightning import figures
from noisy_lightning.figures.classification import confusion_picture, reliability_diagram
from noisy_lightning.figures.dynamics import (
    confidence_of,
    fates_of,
    loss_quantiles,
    memorization_by_class,
    spread_of,
    training_dynamics_map,
)
from noisy_lightning.figures.embedding import embedding_map
from noisy_lightning.figures.estimates import estimated_transition
from noisy_lightning.figures.experiments import (
    accuracy_over_rate,
    class_convergence,
    curves_over_epochs,
    label_distribution,
    selection_over_epochs,
    train_and_test,
    validation_curves,
)
from noisy_lightning.figures.functions import loss_shapes
from noisy_lightning.figures.landscape import loss_landscape
from noisy_lightning.figures.losses import Losses, loss_distributions
from noisy_lightning.figures.samples import (
    cross_validation_over_rates,
    loss_and_memorization,
    loss_histograms,
    sample_grid,
    selection_quality,
    transition_matrices,
)
from noisy_lightning.figures.style import as_array, as_png
from noisy_lightning.runs.classification import calibration
from noisy_lightning.runs.measures import class_accuracy
from tests.tools.gallery_runs import Situation, from_runs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "runs/gallery"
_SCREEN, _PRINT = 150, 300  # dots an inch

Draw = Callable[[Situation], Figure]


def _losses(known: Situation) -> dict[str, Losses]:
    found = {}
    for name, run in known.runs.items():
        masks = (np.broadcast_to(mask, run.loss.shape)[-1] for mask in (run.is_clean, run.is_noisy))
        found[name] = Losses(run.loss[-1], *masks)
    return found


def _classes(known: Situation) -> dict[str, Any]:
    count = len(known.class_names)
    return {
        name: np.array([class_accuracy(row, np.maximum(run.true_labels, -1), count) for row in run.prediction])
        for name, run in known.runs.items()
    }


def _grid(known: Situation) -> Figure:
    names = known.class_names
    run, count = known.first, len(known.images)
    true = [None if label < 0 else names[label] for label in run.true_labels[:count].tolist()]
    return sample_grid(
        known.images,
        [names[label] for label in run.labels[:count]],
        true,
        run.loss[-1, :count],
        known.title,
        columns=4,
    )


def _embedding(known: Situation) -> Figure:
    return embedding_map(known.points, known.first.labels, known.suspects, known.class_names, known.title)


FIGURES: Mapping[str, Draw] = {
    "validation_curves": lambda known: validation_curves(
        known.curves["val/loss"], known.curves["val/acc"], known.title
    ),
    "curves_over_epochs": lambda known: curves_over_epochs(
        {"Training, given labels": known.curves["train/acc"], "Test, true labels": known.curves["test/acc"]},
        known.title,
    ),
    "accuracy_over_rate": lambda known: accuracy_over_rate(known.over_rates["test"], known.title),
    "train_and_test": lambda known: train_and_test(
        {
            name: {"training": known.over_rates["training"][kind][name], "test": over}
            for kind, methods in known.over_rates["test"].items()
            for name, over in methods.items()
        },
        known.title,
    ),
    "class_convergence": lambda known: class_convergence(
        _classes(known), dict.fromkeys(known.runs, known.class_names), known.title
    ),
    "label_distribution": lambda known: label_distribution(
        known.first.true_labels, known.first.labels, known.class_names, known.title
    ),
    "loss_distributions": lambda known: loss_distributions(_losses(known), known.title),
    "selection_over_epochs": lambda known: selection_over_epochs(
        known.curves["train/label_precision"], known.curves["train/label_recall"], known.title
    ),
    "training_dynamics_map": lambda known: training_dynamics_map(
        {name: confidence_of(run) for name, run in known.runs.items()}, known.title
    ),
    "loss_quantiles": lambda known: loss_quantiles(
        {name: spread_of(run) for name, run in known.runs.items()}, known.title
    ),
    "memorization_by_class": lambda known: memorization_by_class(
        {name: fates_of(run) for name, run in known.runs.items()}, known.class_names, known.title
    ),
    "embedding_map": _embedding,
    "estimated_transition": lambda known: estimated_transition(
        known.estimated, known.realized, known.class_names, known.title
    ),
    "transition_matrices": lambda known: transition_matrices(
        {"nominal": known.nominal, "realized": known.realized}, known.class_names, known.title
    ),
    "confusion_picture": lambda known: confusion_picture(known.confusion, known.class_names, known.title),
    "reliability_diagram": lambda known: reliability_diagram(
        calibration(np.nan_to_num(known.first.confidence[-1]), known.first.prediction[-1] == known.first.labels),
        known.title,
    ),
    "loss_and_memorization": lambda known: loss_and_memorization(known.first, known.title),
    "loss_histograms": lambda known: loss_histograms(*next(iter(_losses(known).values())), known.title),
    "sample_grid": _grid,
    "selection_quality": lambda known: selection_quality(known.iterations, known.title),
    "cross_validation_over_rates": lambda known: cross_validation_over_rates(known.theory, known.measured, known.title),
    "loss_landscape": lambda known: loss_landscape(known.steps, known.surfaces, known.title),
    "loss_shapes": lambda known: loss_shapes(known.probability, known.shapes, known.title),
}
"""By the name of a function of `noisy_lightning.figures`, what draws it."""


def figure_functions() -> set[str]:
    """Return the names of all public functions of `noisy_lightning.figures` that return a figure."""
    found = set()
    for module in iter_modules(figures.__path__):
        members = inspect.getmembers(import_module(f"{figures.__name__}.{module.name}"), inspect.isfunction)
        found |= {
            name
            for name, function in members
            if function.__module__.startswith(figures.__name__)
            and inspect.signature(function).return_annotation in (Figure, "Figure")
            and not name.startswith("_")
        }
    return found - {"new_figure"}  # an empty one


def write_gallery(folder: Path, drawn: Mapping[str, Figure], notes: Mapping[str, str]) -> Path:
    """Write each figure as a screen and as paper shows it, and a page of all.

    Args:
        folder: Made if missing.
        drawn: By name.
        notes: By name, what a reader has to know of it.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, figure in drawn.items():
        (folder / f"{name}.png").write_bytes(as_png(as_array(figure, _SCREEN), _SCREEN))
        printed = as_array(figure, _PRINT)
        gray = np.asarray(Image.fromarray(printed).convert("L"))
        (folder / f"{name}_print.png").write_bytes(as_png(gray, _PRINT))
        width, height = figure.get_size_inches()
        parts.append(
            f"<h2>{escape(name)}</h2><p>{width:.1f} × {height:.1f} inches; {escape(notes.get(name, 'from runs'))}</p>"
            f'<img src="{name}.png" style="width:{100 * width:.0f}px"> '
            f'<img src="{name}_print.png" style="width:{width}in">'
        )
    page = folder / "gallery.html"
    style = "body{font:14px sans-serif;margin:2em;background:#ddd}img{background:white;vertical-align:top}"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Gallery</title><style>{style}</style>'
        f"<h1>Every figure: on a screen, and at print size in grayscale</h1>{''.join(parts)}</html>",
        encoding="utf-8",
    )
    return page


def contact_sheet(folder: Path, names: Iterator[str]) -> Path:
    """Write all figures of a gallery as one picture, in rows of the same height at most."""
    width, gap = 2000, 12
    places, x, y, row = [], gap, gap, 0
    for name in names:
        with Image.open(folder / f"{name}.png") as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((640, 640))
        if x + picture.width + gap > width:
            x, y, row = gap, y + row + gap, 0
        places.append((picture, (x, y)))
        x, row = x + picture.width + gap, max(row, picture.height)
    sheet = Image.new("RGB", (width, y + row + gap), "#DDDDDD")
    for picture, place in places:
        sheet.paste(picture, place)
    path = folder / "gallery.png"
    sheet.save(path)
    return path


def main() -> None:
    """Make the runs that are missing, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of runs and pictures")
    folder: Path = parser.parse_args().folder.absolute()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    started = monotonic()
    known = from_runs(folder)
    drawn = {name: draw(known) for name, draw in FIGURES.items()}
    drawn |= {f"report_{name}": figure for name, figure in known.report}
    page = write_gallery(folder / "pictures", drawn, known.notes)
    sheet = contact_sheet(folder / "pictures", iter(drawn))
    print(f"{len(drawn)} figures in {monotonic() - started:.0f} s: {page}, {sheet}")


if __name__ == "__main__":
    main()
