"""Pictures of label noise and of per-sample records: what separates clean from noisy samples, seen at a glance.

Pure functions from arrays to matplotlib figures, which no window system and no global state of pyplot takes part
in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from noisy_lightning.figures.style import CLEAN, CORRECTED, INK, NOISY, OTHER, finish, new_figure
from noisy_lightning.runs.measures import Bools, Floats
from noisy_lightning.runs.records import Records

_SHARES = "Blues"  # colors of a matrix: one hue, whose lightness is the value
_LARGEST_WITH_NUMBERS = 20  # classes of a matrix
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
    figure = new_figure(4.8, 6.4, title) if stacked else new_figure(8.0, 3.5, title)
    left, right = figure.subplots(2, 1) if stacked else figure.subplots(1, 2)
    is_clean, is_noisy = (np.broadcast_to(mask, records.loss.shape) for mask in (records.is_clean, records.is_noisy))
    trained = (records.prediction >= 0).any(0)
    for name, color, members in _groups(is_clean, is_noisy):
        band = [_mean_and_quartiles(row[chosen]) for row, chosen in zip(records.loss, members, strict=True)]
        mean, low, high = np.array(band).T
        left.fill_between(records.epochs, low, high, color=color, alpha=0.15, linewidth=0)
        left.plot(records.epochs, mean, color=color, label=f"{name} (n = {(members[-1] & trained).sum():,})")
    finish(left, "Training loss (mean; band: quartiles)", "epoch")
    left.set_ylim(bottom=min(0.0, left.get_ylim()[0]))

    measures = records.measures()
    curves = [("memorised", NOISY), ("corrected", CORRECTED), ("neither", OTHER)]
    heading = f"Noisy samples (n = {(is_noisy[-1] & trained).sum():,}) predicted as"
    if "memorised" not in measures:
        curves, heading = [("acc", OTHER)], "Accuracy on given labels"
    for name, color in curves:
        label = "all samples" if name == "acc" else _MEANING[name]
        right.plot(records.epochs, measures[name], color=color, label=label)
    right.set_ylim(0, 1)
    right.yaxis.set_major_formatter(PercentFormatter(1))
    finish(right, heading, "epoch")
    for axes in (left, right):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


_MEANING = {
    "memorised": "their given label: memorized",
    "corrected": "their true label: corrected",
    "neither": "another label",
}


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
    figure = new_figure(4.8, 3.2, title)
    draw_loss_histograms(figure.subplots(), loss, is_clean, is_noisy, "Share of samples by loss (√ scale)")
    return figure


def draw_loss_histograms(axes: Axes, loss: Floats, is_clean: Bools, is_noisy: Bools, heading: str) -> None:
    """Draw what `loss_histograms` shows into axes."""
    finite = np.isfinite(loss)
    top = 0.01
    if finite.any():
        low, high = min(0.0, float(loss[finite].min())), float(np.percentile(loss[finite], 99.5))
        edges = np.linspace(low, max(high, low + 1e-6), 51)
        for name, color, members in _groups(is_clean, is_noisy):
            chosen = np.minimum(loss[finite & members], edges[-1])
            share = np.histogram(chosen, edges)[0] / max(1, len(chosen))
            top = max(top, float(share.max()))
            axes.stairs(share, edges, fill=True, color=color, alpha=0.3, linewidth=0)
            axes.stairs(share, edges, color=color, linewidth=1.5, label=f"{name} (n = {len(chosen):,})")
    axes.set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    axes.set_ylim(0, 1.1 * top)
    axes.set_yticks([tick for tick in (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1) if tick <= 1.1 * top])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    finish(axes, heading, "loss")


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
    figure = new_figure(float(columns), rows * step * 0.97 + 0.35, title)
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
        lines = [_short(given[i], 16), "" if true[i] is None else _short(f"true: {true[i]}", 19)]
        lines.append(f"{measure} {values[i]:.2f}")
        text: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": 8, "parse_math": False}
        axes.text(x + 0.5, y + 1.02, lines[0], color=color, weight="bold", **text)
        axes.text(x + 0.5, y + 1.17, "\n".join(line for line in lines[1:] if line), color=INK, **text)
    axes.set(xlim=(0, columns * 1.06 - 0.06), ylim=(rows * step, 0), aspect="equal")
    axes.axis("off")
    return figure


def transition_matrices(
    matrices: Mapping[str, NDArray[np.float64]], class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draw transition matrices side by side, such as the nominal and the realized one.

    Colors are on a square-root scale: spread over a hundred classes, a noise of 40 % is 0.4 % in each cell. Up to 20
    classes the cells say their share in percent, too. The row of a class without samples stays gray.

    Args:
        matrices: by name, each (K, K) shares in [0, 1], rows over true classes; all zeros for a class without samples.
        class_names: K names.
        title: what noise this is.
    """
    numbers = len(class_names) <= _LARGEST_WITH_NUMBERS
    # Lines of text, 8 points high with and 6 without numbers, need this much room.
    side = max(2.5, len(class_names) * (0.45 if numbers else 0.1))
    margin = 0.3 + 0.08 * max(map(len, class_names))
    figure = new_figure(len(matrices) * (side + 0.3) + margin + 0.9, side + margin + 0.9, title)
    panels = figure.subplots(1, len(matrices), squeeze=False, sharey=True)[0]
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        shown = np.where(matrix.any(1, keepdims=True), matrix, np.nan)
        image = axes.imshow(shown, cmap=_SHARES, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
        axes.set_facecolor("#D9D9D9")
        axes.set_title(f"{name}, rows true", loc="left", fontsize=10, color=INK)
        axes.set_xticks(range(len(class_names)), class_names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(class_names)), class_names, parse_math=False)
        axes.tick_params(colors=INK, length=0, labelsize=9 if numbers else 6)
        axes.spines[:].set_visible(False)
        for (row, column), share in np.ndenumerate(shown) if numbers else ():
            if share > 0:
                text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "parse_math": False}
                cell = axes.text(column, row, _percent(share), color="white" if share > 0.3 else INK, **text)
                cell.set_in_layout(False)  # it lies within, and to measure hundreds takes as long as to draw them
    bar = figure.colorbar(image, ax=list(panels), ticks=[0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1], aspect=30)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.ax.tick_params(colors=INK, length=0, labelsize=8)
    bar.outline.set_visible(False)
    return figure


def selection_quality(iterations: Sequence[tuple[float, float]], title: str = "") -> Figure:
    """Draw label precision and label recall of a selection over its iterations.

    Args:
        iterations: (label precision, label recall) after each, in [0, 1].
        title: what selected from what.
    """
    figure = new_figure(4.8, 3.4, title)
    axes = figure.subplots()
    numbers = range(1, len(iterations) + 1)
    for name, color, values in zip(
        ("label precision", "label recall"), (CLEAN, NOISY), zip(*iterations, strict=True), strict=True
    ):
        axes.plot(numbers, values, color=color, marker="o", label=name)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    finish(axes, "Selected labels: how many are right, of all right ones", "iteration")
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
    figure = new_figure(5.4, 3.8, title)
    axes = figure.subplots()
    looks = {
        "accuracy": ("accuracy on given labels", OTHER, "s"),
        "label_precision": ("label precision", CLEAN, "o"),
        "label_recall": ("label recall", NOISY, "^"),
    }
    for name, (label, color, marker) in looks.items():
        axes.plot(*theory[name], color=color, label=label)
        values = [point[name] for point in measured.values()]
        axes.plot(list(measured), values, color=color, marker=marker, linestyle="none")
    axes.set_ylim(0, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    finish(axes, f"Lines: theory; marks: measured (n = {len(measured)})", "noise rate")
    return figure


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _percent(share: float) -> str:
    """Return a share in percent, in at most four characters."""
    return f"{100 * share:.1f}" if share < 0.9995 else "100"


def _groups(is_clean: Bools, is_noisy: Bools) -> list[tuple[str, str, Bools]]:
    """Return name, color and members, in the shape of the masks, of the groups that exist."""
    groups = [("clean", CLEAN, is_clean), ("noisy", NOISY, is_noisy)]
    known = [group for group in groups if group[2].any()]
    return known or [("all samples", OTHER, np.ones_like(is_clean))]


def _mean_and_quartiles(loss: Floats) -> tuple[float, float, float]:
    finite = loss[np.isfinite(loss)]
    if not finite.size:
        return np.nan, np.nan, np.nan
    low, high = np.percentile(finite, [25, 75])
    return float(finite.mean()), float(low), float(high)
