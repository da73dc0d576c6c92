"""How the loss changes around trained networks, as maps with lines of equal loss."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from noisy_lightning.figures.style import INK, LABEL, PAGE, SMALL, finish, fitted, new_figure

_COLUMNS, _SIDE = 3, 1.9  # maps in a row, inches of one
_LEVELS = 16
_SMALLEST = 1e-4  # a loss below is drawn like this one


def loss_landscape(steps: Sequence[float], surfaces: Mapping[str, NDArray[np.float64]], title: str) -> Figure:
    """Draw the loss around trained networks: the flatter, the farther apart are the lines. A cross marks the network.

    All maps have one logarithmic scale of colors, so that they can be compared where the loss function is the same one.

    Source: Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018; Chen et al. (SLN, ICLR 2021).

    Args:
        steps: n lengths along both directions.
        surfaces: By method, mean losses (n, n), as `loss_surface` returns them; what is not finite stays white.
        title: Such as the setting.
    """
    columns = min(_COLUMNS, len(surfaces))
    rows = ceil(len(surfaces) / columns)
    width = min(PAGE, columns * (_SIDE + 0.25) + 1.1)
    figure = new_figure(width, rows * (_SIDE + 0.3) + 0.4, title)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel().tolist()
    found = np.concatenate([surface[np.isfinite(surface)] for surface in surfaces.values()])
    low, high = (max(float(end), _SMALLEST) for end in (found.min(initial=1), found.max(initial=_SMALLEST)))
    high = max(high, 1.01 * low)
    levels = np.geomspace(low, high, _LEVELS)
    norm, places = LogNorm(low, high), np.asarray(steps, np.float64)
    for number, (axes, (name, surface)) in enumerate(zip(panels, surfaces.items(), strict=False)):
        shown = np.ma.masked_invalid(surface).clip(low, high)
        if np.isfinite(surface).any() and len(places) > 1:
            axes.contourf(places, places, shown, levels, norm=norm, cmap="Blues", extend="both")
            axes.contour(places, places, shown, levels, norm=norm, colors=INK, linewidths=0.4)
        axes.plot(0, 0, "+", color="#D55E00", markersize=7, markeredgewidth=1.6)
        is_lowest, is_left = number + columns >= len(surfaces), number % columns == 0
        finish(axes, fitted(name, _SIDE), "first direction" * is_lowest, "second direction" * is_left)
        axes.tick_params(labelbottom=is_lowest)
        axes.grid(visible=False)
        axes.margins(0)
        axes.locator_params(nbins=5)
    for spare in panels[len(surfaces) :]:
        spare.remove()
    colors = figure.colorbar(ScalarMappable(norm, "Blues"), ax=panels[: len(surfaces)], pad=0.02, aspect=25 * rows)
    colors.set_label("mean loss (logarithmic scale)", color=INK, fontsize=LABEL)
    colors.ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    colors.ax.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:g}"))
    colors.ax.minorticks_off()
    colors.ax.tick_params(colors=INK, length=0, labelsize=SMALL)
    colors.outline.set_visible(False)
    return figure
