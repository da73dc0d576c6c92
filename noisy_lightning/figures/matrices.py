"""Matrices over classes: shares and their differences as colors, with numbers where there is room."""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from noisy_lightning.figures.style import HEADING, INK, LABEL, PAGE, SMALL, new_figure, percent, shortened, width_of

SQUARE_ROOT = "(square-root scale)"
Shares = NDArray[np.float64]
_CELL, _ROW = 0.27, 0.1  # inches of a cell with and without a number
_LARGEST_WITH_NUMBERS, _LARGEST_WITH_NAMES = 20, 100  # classes
_LONGEST_NAME = 30
_BAR = 0.95  # inches of the color bar with its name
_DARK = 0.3  # the share from which on letters are white


def has_numbers(class_names: Sequence[str]) -> bool:
    """Return whether cells say what they are of so many classes."""
    return len(class_names) <= _LARGEST_WITH_NUMBERS


def matrix_panels(count: int, class_names: Sequence[str], title: str) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many matrices in rows, as wide as a page where that holds them, and its axes.

    Args:
        count: Of matrices.
        class_names: K names.
        title: Of the figure.
    """
    classes = len(class_names)
    side = min(10.0, max(2.0, classes * (_CELL if has_numbers(class_names) else _ROW)))
    names = 0.45
    if classes <= _LARGEST_WITH_NAMES:
        names += max((width_of(name, _size(classes)) for name in _shown(class_names)), default=0.0)
    columns = max(1, min(count, int((PAGE + 0.3 - _BAR - names) / (side + 0.1))))
    rows = ceil(count / columns) or 1
    figure = new_figure(columns * (side + 0.2) + names + _BAR, rows * (side + 0.24 + names), title)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def draw_matrix(
    axes: Axes,
    values: Shares,
    class_names: Sequence[str],
    text: Callable[[float], str],
    numbers: NDArray[Any] | None = None,
    **colors: Any,
) -> AxesImage:
    """Draw a matrix into axes.

    Args:
        axes: Where to.
        values: (K, K), NaN in the row of a class without samples, which stays gray.
        class_names: K names.
        text: What a cell says.
        numbers: (K, K) what that is said of; None: the values. A cell of 0 says nothing.
        colors: As `imshow` takes them; none: one hue for shares in [0, 1], whose lightness is the value.
    """
    classes = len(class_names)
    colors = colors or {"cmap": "Blues", "norm": PowerNorm(0.5, 0, 1)}
    image = axes.imshow(values, interpolation="nearest", **colors)
    axes.set_facecolor("#D9D9D9")
    if classes <= _LARGEST_WITH_NAMES:
        width = _CELL if has_numbers(class_names) else _ROW
        upright = max(width_of(name, _size(classes)) for name in _shown(class_names)) < 0.9 * width
        axes.set_xticks(range(classes), _shown(class_names), rotation=0 if upright else 90, parse_math=False)
        axes.set_yticks(range(classes), _shown(class_names), parse_math=False)
    axes.tick_params(colors=INK, length=0, labelsize=_size(classes))
    axes.spines[:].set_visible(False)
    said = values if numbers is None else numbers
    largest = np.nanmax(np.abs(values), initial=0)
    for (row, column), number in np.ndenumerate(said) if has_numbers(class_names) else ():
        if number and np.isfinite(values[row, column]):
            share = abs(values[row, column])
            dark = share > (_DARK if isinstance(image.norm, PowerNorm) else 0.6 * max(largest, 1e-9))
            style: dict[str, Any] = {"ha": "center", "va": "center", "parse_math": False}
            shown = text(number)
            style["fontsize"] = 6.0 if len(shown) < 5 else 5.0
            cell = axes.text(column, row, shown, color="white" if dark else INK, **style)
            cell.set_in_layout(False)  # it lies within, and to measure hundreds takes as long as to draw them
    return image


def name_matrix(axes: Axes, heading: str, columns: str, rows: str = "true class") -> None:
    """Say what a matrix is, and its columns and rows."""
    axes.set_title(shortened(heading), loc="left", fontsize=HEADING, color=INK, parse_math=False)
    axes.set_xlabel(columns, color=INK, fontsize=LABEL)
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel(rows, color=INK, fontsize=LABEL)


def shares_bar(figure: Figure, image: AxesImage, panels: Sequence[Axes]) -> None:
    """Set a color bar beside matrices of shares."""
    ticks = [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1]
    bar = color_bar(figure, image, panels, f"share of the true class\n{SQUARE_ROOT}", ticks=ticks)
    percent(bar.ax.yaxis)


def color_bar(figure: Figure, image: Any, panels: Sequence[Axes], name: str, **options: Any) -> Colorbar:
    """Set a color bar, a tenth of an inch wide and without a frame, to the right of panels.

    Args:
        figure: Of the panels.
        image: What has the colors.
        panels: Beside which it stands.
        name: What the colors are.
        options: As `Figure.colorbar` takes them.
    """
    rows = len({axes.get_subplotspec().rowspan.start for axes in panels})  # type: ignore[union-attr]
    rows_of_all = panels[0].get_subplotspec().get_gridspec().nrows  # type: ignore[union-attr]
    height = figure.get_figheight() * rows / rows_of_all
    bar = figure.colorbar(image, ax=list(panels), aspect=10 * height, pad=0.02, **options)
    bar.set_label(name, color=INK, fontsize=LABEL)
    bar.ax.tick_params(colors=INK, length=0, labelsize=SMALL)
    bar.outline.set_visible(False)
    return bar


def settle(figure: Figure) -> None:
    """Lay a figure of matrices out: only a second layout, that of whoever draws it, knows that they are square."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)


def in_percent_of_one(share: float) -> str:
    """Return a share in percent, in at most four characters."""
    return f"{100 * share:.1f}" if share < 0.9995 else "100"


def _size(classes: int) -> float:
    """Return how many points the names of classes have."""
    return SMALL if classes <= _LARGEST_WITH_NUMBERS else 6.0


def _shown(class_names: Sequence[str]) -> list[str]:
    return [shortened(name, _LONGEST_NAME) for name in class_names]
