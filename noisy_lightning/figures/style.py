"""What all pictures share: sizes, colors, texts that fit, an empty figure, quiet axes, legends beside the data.

Figures are as large as they are printed: a panel fits the column of a paper of two columns, a row of panels its page,
and no letter is below 6 points. Colors stay apart for color-blind readers (Okabe and Ito's palette); dashes and
hatches tell the same things apart in grayscale.
"""

import io
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from noisy_lightning.figures.letters import families_for, give_letters, without_glyph_warnings

CLEAN, NOISY, CORRECTED, OTHER = "#0072B2", "#D55E00", "#009E73", "#767676"
INK, _GRID = "#333333", "#E4E4E4"
COLUMN, PAGE = 3.3, 6.9
"""Inches: widths of a column and of a page of two."""
TITLE, HEADING, LABEL, SMALL = 9.0, 8.5, 8.0, 7.0
"""Points: sizes of a figure's title, a panel's heading, names of axes, ticks and legends."""
_LONGEST_NAME = 40
_HANDLE = 0.36  # inches that a legend takes for a line and the gaps beside it
_HINTED = 1.05  # how much wider a screen draws letters than paper, at most
_ROW = 1.3  # height of a legend's row, in its letters


class LegibleFigure(Figure):
    """A figure whose texts are drawn by fonts that have their letters, wherever it is drawn."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw it."""
        give_letters(self)
        with without_glyph_warnings():
            super().draw(renderer)


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return an empty figure, as much higher than asked for as the title has lines; 100 pixels an inch."""
    lines = _lines(title, width - 0.15, TITLE)
    figure = LegibleFigure(figsize=(width, height + 0.16 * len(lines)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    if lines:
        figure.suptitle(
            "\n".join(lines), x=0.06 / width, ha="left", fontsize=TITLE, color=INK, linespacing=1.15, parse_math=False
        )
    return figure


def finish(axes: Axes, heading: str, x_label: str, y_label: str = "") -> None:
    """Give axes heading, names and a quiet frame."""
    axes.set_title(heading, loc="left", fontsize=HEADING, color=INK, parse_math=False)
    axes.set_xlabel(x_label, color=INK, fontsize=LABEL)
    axes.set_ylabel(y_label, color=INK, fontsize=LABEL)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")
    axes.tick_params(colors=INK, length=0, labelsize=SMALL)
    axes.tick_params(axis="x", pad=5)  # the first one does not touch that of the y axis
    axes.margins(x=0.02)


def in_epochs(axes: Axes) -> None:
    """Let the x axis of curves count epochs, from 1."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))


def percent(*axes: Axis) -> None:
    """Write axes in percent, with as many decimals as their ticks need."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{round(100 * share, 4):g} %".replace("-", "−")))


def shares(*panels: Axes) -> None:
    """Write y axes in percent, and end them with the data or with what a share can be."""
    for axes in panels:
        percent(axes.yaxis)
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.03), min(high, 1.03))


def legend_above(axes: Axes, width: float) -> None:
    """Set the legend between heading and data, none of which it can cover.

    Args:
        axes: Which have their heading.
        width: Of the axes in inches.
    """
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    columns, names = _columns(names, width)
    axes.legend(
        handles, names, loc="lower left", bbox_to_anchor=(-0.01, 1.0), borderaxespad=0.15, ncols=columns, **_LEGEND
    )
    rows = -(-len(names) // columns)
    heading = axes.get_title(loc="left")
    pad = rows * _ROW * SMALL + 5
    axes.set_title(heading, loc="left", pad=pad, fontsize=HEADING, color=INK, parse_math=False)


def legend_below(figure: Figure, panels: Sequence[Axes] | None = None) -> None:
    """Set one legend below panels with the same lines."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes if panels is None else panels:
        handles |= {name: line for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    if handles:
        width = float(figure.get_figwidth()) - 0.2
        columns, names = _columns(list(handles), width)
        figure.set_figheight(figure.get_figheight() + 0.1 + -(-len(names) // columns) * _ROW * SMALL / 72)
        figure.legend(list(handles.values()), names, loc="outside lower left", ncols=columns, **_LEGEND)


_LEGEND: Mapping[str, Any] = {
    "frameon": False,
    "fontsize": SMALL,
    "labelcolor": INK,
    "handlelength": 2.2,
    "handletextpad": 0.5,
    "columnspacing": 1.2,
    "labelspacing": 0.3,
    "borderpad": 0.1,
}


def shortened(text: str, length: int = _LONGEST_NAME) -> str:
    """Return a text of at most so many letters."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def fitted(text: str, width: float, after: str = "", size: float = HEADING) -> str:
    """Return a text and what comes after it, the former shortened so that both fit into so many inches."""
    length = len(text)
    while length > 1 and width_of(shortened(text, length) + after, size) > width:
        length -= 1
    return shortened(text, length) + after


def width_of(text: str, size: float) -> float:
    """Return how many inches a text is wide in letters of so many points."""
    font = FontProperties(family=families_for(text), size=size)
    with without_glyph_warnings():
        points = float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])
    return _HINTED * points / 72


def as_array(figure: Figure, dpi: int = 100) -> NDArray[np.uint8]:
    """Draw a figure into an array (H, W, 3).

    Args:
        figure: What to draw.
        dpi: Pixels an inch.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]


def as_png(pixels: NDArray[np.uint8], dpi: int = 100) -> bytes:
    """Return the PNG file of a drawn figure; matplotlib's own would draw it two more times, to lay it out first.

    Args:
        pixels: (H, W, 3).
        dpi: Pixels an inch, as programs that print it take it.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", dpi=(dpi, dpi))
    return buffer.getvalue()


def _columns(names: Sequence[str], width: float) -> tuple[int, list[str]]:
    """Return how many columns of a legend fit, and its names, none of which is wider than the figure."""
    names = [shortened(name) for name in names]
    names = [fitted(name, width - _HANDLE, size=SMALL) for name in names]
    widest = max(width_of(name, SMALL) for name in names)
    columns = max(1, min(len(names), int(width / (widest + _HANDLE + 0.1))))
    rows = -(-len(names) // columns)
    return -(-len(names) // rows), names  # full rows, as far as possible


def _lines(text: str, width: float, size: float) -> list[str]:
    """Return a text in lines that are no wider than so many inches."""
    share = min(1.0, 1.3 * width / max(width, width_of(text, size)))
    for length in range(max(2, int(share * len(text)) + 1), 1, -1):
        lines = wrap(text, length)
        if all(width_of(line, size) <= width for line in lines):
            return lines
    return wrap(text, 2)
