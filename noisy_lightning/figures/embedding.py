"""A map of embedded samples, on which suspects that lie among other classes are seen."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from noisy_lightning.figures.panels import COLORS, MARKERS
from noisy_lightning.figures.style import PAGE, finish, legend_below, new_figure
from noisy_lightning.runs.measures import Bools, Floats, Ints

_LARGEST_WITH_NAMES = 20  # classes
_LARGE = 5000  # samples, from which on points are small


def embedding_map(
    points: Floats,
    labels: Ints,
    is_suspect: Bools,
    class_names: Sequence[str],
    title: str = "",
    axis_names: tuple[str, str] = ("first component", "second component"),
) -> Figure:
    """Draw samples where an embedding has them, colored by their given labels, with suspects ringed.

    Of more than 20 classes colors repeat and have no names. Points are drawn as pixels also in vector files, which
    would otherwise be large.

    Source: as cleanlab and FiftyOne show label issues; projections by PCA (Pearson 1901) or UMAP (McInnes et al. 2018).

    Args:
        points: (N, 2), NaN for a sample that was not embedded.
        labels: (N,) given labels in [0, K).
        is_suspect: (N,) to mark.
        class_names: K names.
        title: what judged what.
        axis_names: what the two axes are.
    """
    figure = new_figure(0.72 * PAGE, 4.2, title)
    axes = figure.subplots()
    shown = np.isfinite(points).all(1)
    size = 9.0 if shown.sum() < _LARGE else 2.0
    named = len(class_names) <= _LARGEST_WITH_NAMES
    for number, name in enumerate(class_names):
        x, y = points[shown & (labels == number)].T
        shape = MARKERS[number // len(COLORS) % len(MARKERS)]
        color, label = COLORS[number % len(COLORS)], name if named else None
        axes.scatter(x, y, size, alpha=0.5, linewidths=0, color=color, marker=shape, label=label, rasterized=True)
    x, y = points[shown & is_suspect].T
    axes.scatter(x, y, 25, facecolors="none", edgecolors="black", linewidths=0.7, rasterized=True)
    colors = "Colors and shapes: given labels" if named else "Colors: given labels, several each"
    marked = f"{(shown & is_suspect).sum():,} suspects of {shown.sum():,} ringed"
    finish(axes, f"{colors}; {marked}", *axis_names)
    axes.margins(0.03)
    axes.set(xticklabels=[], yticklabels=[])
    legend_below(figure)
    for handle in (handle for legend in figure.legends for handle in legend.legend_handles):
        handle.set(alpha=1.0, sizes=[16.0])  # type: ignore[union-attr]
    return figure
