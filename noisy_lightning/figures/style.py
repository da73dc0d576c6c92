"""What all pictures share: colors, an empty figure, quiet axes.

The colors stay apart for color-blind readers (Okabe and Ito's palette).
"""

import io
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

CLEAN, NOISY, CORRECTED, OTHER = "#0072B2", "#D55E00", "#009E73", "#767676"
INK, _GRID = "#333333", "#E4E4E4"


def new_figure(width: float, height: float, title: str) -> Figure:
    """Return an empty figure; 100 pixels an inch, and as much higher as the title has more lines than one."""
    lines = wrap(title, max(20, int(11 * width)))
    figure = Figure(figsize=(width, height + 0.17 * max(0, len(lines) - 1)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    if lines:
        figure.suptitle("\n".join(lines), fontsize=11, color=INK, parse_math=False)
    return figure


def finish(axes: Axes, heading: str, x_label: str) -> None:
    """Give axes their heading, legend and quiet frame."""
    axes.set_title(heading, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x_label, color=INK)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#AAAAAA")
    axes.tick_params(colors=INK, length=0)
    axes.margins(x=0.01)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="best", frameon=False, fontsize=9, labelcolor=INK)


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
