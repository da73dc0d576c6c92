"""Pictures of label noise and of per-sample records: what separates clean from noisy samples, seen at a glance.

Pure functions from arrays to matplotlib figures, which no window system and no global state of pyplot takes part
in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from noisy_lightning.figures.losses import draw_loss_histograms, groups
from noisy_lightning.figures.matrices import (
    Shares,
    draw_matrix,
    has_numbers,
    in_percent_of_one,
    matrix_panels,
    name_matrix,
    settle,
    shares_bar,
)
from noisy_lightning.figures.style import (
    CLEAN,
    COLUMN,
    CORRECTED,
    INK,
    NOISY,
    OTHER,
    PAGE,
    finish,
    fitted,
    in_epochs,
    legend_above,
    new_figure,
    percent,
    shares,
)
from noisy_lightning.runs.measures import Bools, Floats
from noisy_lightning.runs.records import Records

_TEXT_ROWS = 4  # of a sample grid, under each picture, in units of an eighth of its width


def loss_and_memorization(records: Records, title: str = "", stacked: bool = False) -> Figure:
    """Draw the loss of clean and noisy samples over the epochs beside what became of the noisy labels.

    Lines are means over samples, bands run from the first to the third quartile. Without known truth the left
    panel shows all samples and the right one the accuracy on given labels.

    Args:
        records: of a run, for its training part.
        title: what was trained on what.
        stacked: whether the second panel goes below the first, for narrow places.
    """
    figure = new_figure(COLUMN, 4.6, title) if stacked else new_figure(PAGE, 2.4, title)
    left, right = figure.subplots(2, 1) if stacked else figure.subplots(1, 2)
    width = COLUMN - 0.7
    epochs = records.epochs + 1
    marker = "o" if len(epochs) == 1 else None
    is_clean, is_noisy = (np.broadcast_to(mask, records.loss.shape) for mask in (records.is_clean, records.is_noisy))
    trained = (records.prediction >= 0).any(0)
    for name, (color, dashes), members in groups(is_clean, is_noisy):
        band = [_mean_and_quartiles(row[chosen]) for row, chosen in zip(records.loss, members, strict=True)]
        mean, low, high = np.array(band).T
        left.fill_between(epochs, low, high, color=color, alpha=0.15, linewidth=0)
        label = f"{name} (n = {(members[-1] & trained).sum():,})"
        left.plot(epochs, mean, color=color, linestyle=dashes, marker=marker, label=label)
    finish(left, "Loss of training samples", "epoch", "loss (mean; band: quartiles)")
    left.set_ylim(bottom=min(0.0, left.get_ylim()[0]))

    measures = records.measures()
    curves = FATES
    heading = f"Noisy samples (n = {(is_noisy[-1] & trained).sum():,}), predicted"
    if "memorised" not in measures:
        curves, heading = {"acc": ("all samples", OTHER, "-")}, "Accuracy on given labels"
    for name, (label, color, dashes) in curves.items():
        right.plot(epochs, measures[name], color=color, linestyle=dashes, marker=marker, label=label)
    finish(right, heading, "epoch", "share of samples")
    right.set_ylim(0, min(1.03, 1.06 * right.get_ylim()[1]))
    percent(right.yaxis)
    for axes in (left, right):
        in_epochs(axes)
        legend_above(axes, width)
    return figure


FATES = {
    "memorised": ("as given: memorized", NOISY, "-"),
    "corrected": ("as true: corrected", CORRECTED, "--"),
    "neither": ("neither", OTHER, ":"),
}
"""What can become of a noisy sample: by the name of its measure, label, color and dashes."""


def loss_histograms(loss: Floats, is_clean: Bools, is_noisy: Bools, title: str = "") -> Figure:
    """Overlay the distributions of the losses of clean and of noisy samples, each as shares of its own group.

    Heights are on a square-root scale: late in a training run almost all clean samples share one bin, beside which
    the others would vanish. The loss axis ends at the 99.5th percentile; its last bin counts what lies beyond.

    Args:
        loss: (N,) what is not finite does not count.
        is_clean: (N,) known to be clean.
        is_noisy: (N,) known to be noisy; with neither anywhere, one histogram shows all samples.
        title: such as the epoch.
    """
    figure = new_figure(COLUMN, 2.3, title)
    draw_loss_histograms(figure.subplots(), loss, is_clean, is_noisy, "", COLUMN - 0.7)
    return figure


def sample_grid(
    images: NDArray[np.uint8],
    given: Sequence[str],
    true: Sequence[str | None],
    values: Floats,
    title: str = "",
    columns: int = 8,
    measure: str = "loss",
) -> Figure:
    """Show samples with their given names in bold, blue where these are true, vermilion where they are not.

    Args:
        images: (n, C, H, W), C of 1 or 3.
        given: n names.
        true: n names, None where unknown.
        values: (n,) what the samples are shown for.
        title: such as the epoch.
        columns: pictures in a row, each 100 pixels wide.
        measure: what the values are.
    """
    rows = max(1, -(-len(images) // columns))
    step = 1 + _TEXT_ROWS / 8
    figure = new_figure(float(columns), rows * step * 0.97 + 0.1, title)
    axes = figure.subplots()
    # One axes for all: one for each sample would take a second to draw.
    for i, image in enumerate(images):
        x, y = i % columns * 1.06, i // columns * step
        picture = image.transpose(1, 2, 0)
        axes.imshow(
            picture.repeat(3, 2) if picture.shape[2] == 1 else picture,
            extent=(x, x + 1, y + 1, y),
            interpolation="nearest",
        )
        color = OTHER if true[i] is None else CLEAN if true[i] == given[i] else NOISY
        lines = [fitted(given[i], 0.86, size=8), "" if true[i] is None else fitted(f"true: {true[i]}", 0.97, size=8)]
        lines.append(f"{measure} {values[i]:.2f}" if np.isfinite(values[i]) else f"no {measure}")
        text: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "parse_math": False}
        axes.text(x + 0.5, y + 1.02, lines[0], color=color, weight="bold", **text)
        axes.text(x + 0.5, y + 1.17, "\n".join(line for line in lines[1:] if line), color=INK, **text)
    axes.set(xlim=(0, columns * 1.06 - 0.06), ylim=(rows * step, 0), aspect="equal")
    axes.axis("off")
    return figure


def transition_matrices(
    matrices: Mapping[str, Shares],
    class_names: Sequence[str],
    title: str = "",
    across: Mapping[str, str] | None = None,
) -> Figure:
    """Draw transition matrices side by side, such as the nominal and the realized one.

    Colors are on a square-root scale: spread over a hundred classes, a noise of 40 % is 0.4 % in each cell. Up to 20
    classes the cells say their share in percent, too. The row of a class without samples stays gray.

    Args:
        matrices: by name, each (K, K) shares in [0, 1], rows over true classes; all zeros for a class without samples.
        class_names: K names.
        title: what noise this is.
        across: by name, what the columns of a matrix are where they are not given labels.
    """
    figure, panels = matrix_panels(len(matrices), class_names, title)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        shown = np.where(matrix.any(1, keepdims=True), matrix, np.nan)
        image = draw_matrix(axes, shown, class_names, in_percent_of_one)
        name_matrix(axes, f"{name}, %" if has_numbers(class_names) else name, (across or {}).get(name, "given label"))
    if matrices:
        shares_bar(figure, image, panels)
    settle(figure)
    return figure


def selection_quality(iterations: Sequence[tuple[float, float]], title: str = "") -> Figure:
    """Draw label precision and label recall of a selection over its iterations.

    Args:
        iterations: (label precision, label recall) after each, in [0, 1].
        title: what selected from what.
    """
    figure = new_figure(COLUMN, 2.4, title)
    axes = figure.subplots()
    numbers = range(1, len(iterations) + 1)
    looks = (
        ("label precision: selected that are right", CLEAN, "-", "o"),
        ("label recall: right that are selected", NOISY, "--", "^"),
    )
    for (name, color, dashes, marker), values in zip(looks, zip(*iterations, strict=True), strict=True):
        axes.plot(numbers, values, color=color, linestyle=dashes, marker=marker, markersize=4, label=name)
    finish(axes, "", "iteration", "share of labels")
    shares(axes)
    in_epochs(axes)
    legend_above(axes, COLUMN - 0.7)
    return figure


def cross_validation_over_rates(
    theory: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    measured: Mapping[float, Mapping[str, float]],
    title: str = "",
) -> Figure:
    """Draw what cross-validation on noisy labels measured, and what its theory says, over the noise rate.

    Args:
        theory: noise rates and values by measure: accuracy, label_precision, label_recall; all in [0, 1].
        measured: by noise rate, the value of each measure.
        title: what data and noise this is.
    """
    figure = new_figure(COLUMN, 2.7, title)
    axes = figure.subplots()
    looks = {
        "accuracy": ("accuracy on given labels", OTHER, ":", "s"),
        "label_precision": ("label precision", CLEAN, "-", "o"),
        "label_recall": ("label recall", NOISY, "--", "^"),
    }
    for name, (label, color, dashes, marker) in looks.items():
        axes.plot(*theory[name], color=color, linestyle=dashes)
        values = [point[name] for point in measured.values()]
        axes.plot(list(measured), values, color=color, marker=marker, markersize=4.5, linestyle="none")
        axes.plot([], [], color=color, linestyle=dashes, marker=marker, markersize=4.5, label=label)
    finish(axes, f"Lines: theory; marks: measured (n = {len(measured)})", "noise rate", "share of samples")
    percent(axes.yaxis)
    axes.set_ylim(0, 1.03)
    percent(axes.xaxis)
    legend_above(axes, COLUMN - 0.7)
    return figure


def _mean_and_quartiles(loss: Floats) -> tuple[float, float, float]:
    finite = loss[np.isfinite(loss)]
    if not finite.size:
        return np.nan, np.nan, np.nan
    low, high = np.percentile(finite, [25, 75])
    return float(finite.mean()), float(low), float(high)
