"""Pictures of a selection: its suspects, its quality where true labels are known, theory and experiment."""

import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from noisy_lightning.data import NoisyDataModule
from noisy_lightning.data.labels import NoiseSummary
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.selection import Outcome
from noisy_lightning.figures.embedding import embedding_map
from noisy_lightning.figures.samples import (
    cross_validation_over_rates,
    sample_grid,
    selection_quality,
    transition_matrices,
)
from noisy_lightning.figures.style import as_array, as_png
from noisy_lightning.runs.files import write_bytes
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN, Floats
from noisy_lightning.selectors.theory import priors_of, theory_of

_DPI = 150
_SHOWN = 12  # suspects in the picture
_MARKED = 200  # suspects on the map: of more, nobody would see a single one


def draw(
    folder: Path,
    outcome: Outcome,
    data: NoisyDataModule,
    noise: NoiseSummary,
    title: str,
    points: Floats | None = None,
    projection: str = "PCA",
) -> None:
    """Put curves and pictures on the board of a selection's folder, and the pictures of its theory beside them.

    Args:
        folder: Of the selection.
        outcome: What to draw.
        data: What was judged.
        noise: Its noise.
        title: What judged what.
        points: (N, 2) where the images lie on a map; None: they have no features.
        projection: Which map that is.
    """
    pictures = {"suspects": _top_suspects(outcome, data, title)}
    if points is not None and np.isfinite(points).any():
        pictures["embedding_map"] = _map_of_suspects(points, outcome, data, title, projection)
    if outcome.judgment.iterations and (outcome.true_labels != UNKNOWN).any():
        qualities = [outcome.quality(select) for select in outcome.judgment.iterations]
        pictures["label_precision_and_recall"] = selection_quality(qualities, title)
    if outcome.is_cross_validation:
        matrices = {"labels T": outcome.transition(), "predictions M": outcome.confusion()}
        pictures["confusion_and_transition"] = transition_matrices(
            matrices, data.class_names, title, {"predictions M": "predicted class"}
        )
        points_by_rate = _siblings(folder, noise) | {outcome.noise_rate(): outcome.cross_validated()._asdict()}
        curves = _theory_curves(outcome)
        heading = f"Noisy cross-validation, {noise.dataset}, {noise.kind}"
        pictures["theory_and_experiment"] = cross_validation_over_rates(curves, points_by_rate, heading)
    with SummaryWriter(folder) as board:
        for name, figure in pictures.items():
            pixels = as_array(figure, _DPI)
            write_bytes(folder / f"{name}.png", as_png(pixels, _DPI))
            board.add_image(f"selection/{name}", pixels, 0, dataformats="HWC")
        for iteration, select in enumerate(outcome.judgment.iterations, 1):
            precision, recall = outcome.quality(select)
            board.add_scalar("selection/selected", select.mean(), iteration)
            if not np.isnan(precision):
                board.add_scalar("selection/label_precision", precision, iteration)
                board.add_scalar("selection/label_recall", recall, iteration)
        measures = outcome.measures()
        for name in ("auroc", "average_precision"):
            if measures.get(name) is not None:
                board.add_scalar(f"selection/{name}", measures[name], len(outcome.judgment.iterations))
        curves_together = {"label precision and recall": ["Multiline", ["selection/label_.*"]]}
        board.add_custom_scalars({"Selection": curves_together})


def _top_suspects(outcome: Outcome, data: NoisyDataModule, title: str) -> Figure:
    """Show the most suspicious images."""
    top = outcome.top(_SHOWN)
    names = data.class_names
    true = {UNKNOWN: None, FOREIGN: "none of these"}
    return sample_grid(
        data.train_images(torch.from_numpy(top)).numpy(),
        [names[label] for label in outcome.labels[top]],
        [true[label] if label < 0 else names[label] for label in outcome.true_labels[top].tolist()],
        outcome.judgment.score[top],
        f"{title}: most suspicious labels",
        columns=4,
        measure="score",
    )


def _map_of_suspects(points: Floats, outcome: Outcome, data: NoisyDataModule, title: str, projection: str) -> Figure:
    """Mark the most suspicious labels that are not selected on a map of all images."""
    marked = np.zeros(len(points), bool)
    marked[outcome.top(_MARKED)] = True
    suspect, names = marked & ~outcome.judgment.select, (f"first axis of {projection}", "second axis")
    return embedding_map(points, outcome.labels, suspect, data.class_names, f"{title}: features", names)


def _siblings(folder: Path, noise: NoiseSummary) -> dict[float, dict[str, float]]:
    """Return what other selections of the experiment measured on the same data with the same kind of noise, by rate."""
    points = {}
    for path in sorted(folder.parent.glob("*/result.json")):
        try:
            result = RunFolder(path.parent).read_result()
        except InputError as error:
            print(f"passed over: {error}", file=sys.stderr)
            continue
        with suppress(KeyError, TypeError):  # what is of another kind has no point
            if path.parent != folder and (result["dataset"], result["noise"]["kind"]) == (noise.dataset, noise.kind):
                points[result["cross_validated_noise_rate"]] = result["cross_validation"]["measured"]
    return points


def _theory_curves(outcome: Outcome) -> dict[str, tuple[list[float], list[float]]]:
    """Return, by name, noise rates and what the theory says there of noise with this pattern."""
    transition, priors = outcome.transition(), priors_of(outcome.true_labels, outcome.num_classes)
    rate = outcome.noise_rate()
    identity = np.diag((transition.sum(1) > 0).astype(float))
    rates = np.linspace(0, 1, 101)
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for share in rates if rate else [0.0]:
        scaled = identity + (share / rate if rate else 0.0) * (transition - identity)
        if (scaled < -1e-9).any():
            break
        for name, value in theory_of(scaled, priors)._asdict().items():
            xs, ys = curves.setdefault(name, ([], []))
            xs.append(float(share))
            ys.append(value)
    return curves
