"""Small multiples, and lines with bands in them: what curves of several methods and runs share."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from math import ceil
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from noisy_lightning.figures.style import COLUMN, PAGE, new_figure, percent

# Okabe and Ito's palette without its yellow, which is invisible on white; dashes distinguish lines in black and white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", "-.", ":")
_COLUMNS = 3  # of small multiples on a page
_MARGIN = 0.75  # inches beside the axes of a panel, for names and ticks

Curves = NDArray[np.float64]


class Over(NamedTuple):
    """What a line shows at each of its places x: the values of n runs."""

    x: Sequence[float]
    values: Sequence[Sequence[float]]


def over_epochs(runs: Curves) -> Over:
    """Return curves (runs, epochs) over the epochs, counted from 1."""
    return Over(list(range(1, runs.shape[1] + 1)), runs.T.tolist())


def looks() -> Iterator[tuple[str, str, str]]:
    """Return colors, dashes and markers for lines, of which no two are alike."""
    return cycle(
        (COLORS[number % len(COLORS)], _DASHES[number % len(_DASHES)], MARKERS[number % len(MARKERS)])
        for number in range(len(COLORS) * len(_DASHES))
    )


def draw_line(axes: Axes, name: str, over: Over, look: tuple[str, str, str], marked: bool = True) -> None:
    """Draw means, and a band of one standard deviation where there are several runs.

    Args:
        axes: Where to.
        name: Of the line.
        over: What to draw; what is not finite does not count.
        look: Color, dashes and marker.
        marked: Whether each place has a marker; a line of one place has, in any case.
    """
    color, dashes, marker = look
    columns = [np.array(values, np.float64) for values in over.values]
    columns = [values[np.isfinite(values)] for values in columns]
    mean = np.array([values.mean() if len(values) else np.nan for values in columns])
    std = np.array([values.std(ddof=1) if len(values) > 1 else 0.0 for values in columns])
    shown = marker if marked or len(mean) == 1 else None
    axes.plot(over.x, mean, color=color, linestyle=dashes, linewidth=1.3, marker=shown, markersize=3.5, label=name)
    if (std > 0).any():
        axes.fill_between(over.x, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)


def spread(counts: Iterable[int]) -> str:
    """Return how many runs a line is of."""
    counts = set(counts) or {1}
    low, high = min(counts), max(counts)
    band = "; line: mean, band: one standard deviation" if high > 1 else ""
    count = "1 run" if high == 1 else f"{low if low == high else f'{low} to {high}'} runs"
    return f" (n = {count}{band})"


def spread_at_places(overs: Iterable[Over]) -> str:
    """Return how many runs the places of lines are of."""
    return spread(len(values) for over in overs for values in over.values)


def at_rates(panels: Iterable[Axes], overs: Iterable[Over]) -> None:
    """Let the x axis say the noise rates there are, where they are few."""
    rates = sorted({rate for over in overs for rate in over.x})
    for axes in panels:
        percent(axes.xaxis)
        if 1 < len(rates) <= 6 and min(np.diff(rates)) > 0.12 * (rates[-1] - rates[0]):
            axes.xaxis.set_major_locator(FixedLocator(rates))


def multiples(
    count: int, title: str, height: float = 2.0, columns: int = _COLUMNS, share_y: bool = False
) -> tuple[Figure, list[Axes], float]:
    """Return a figure of so many panels in rows, its axes, and how wide one of them is in inches.

    Args:
        count: Of panels, >= 1.
        title: Of the figure.
        height: Of a row in inches.
        columns: Panels in a row, at most.
        share_y: Whether all panels have one y axis.
    """
    columns = min(count, columns)
    width = COLUMN if columns == 1 else PAGE
    figure = new_figure(width, height * ceil(count / columns) + 0.2, title)
    axes = figure.subplots(ceil(count / columns), columns, squeeze=False, sharey=share_y).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count], width / columns - _MARGIN


def starts_row(number: int, count: int, columns: int = _COLUMNS) -> bool:
    """Return whether a panel is the first of its row, which says for all what the y axis is."""
    return number % min(count, columns) == 0
