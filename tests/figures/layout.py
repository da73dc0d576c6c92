"""Whether the texts of a figure are legible: none lies over another, none is cut by the edge."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

_ALLOWED = 0.75  # pixels that boxes, which are a little larger than the letters, may share
_SMALLEST = 5.0  # points


def faults(figure: Figure) -> list[str]:
    """Return what is wrong with the texts of a figure: overlaps, texts that leave it, letters that are too small."""
    figure.draw_without_rendering()
    texts = [text for text in _texts(figure) if text.get_text().strip() and text.get_visible()]
    boxes = np.array([text.get_window_extent().extents for text in texts]).reshape(-1, 4)
    width, height = figure.canvas.get_width_height()
    found = [
        f"{text.get_text()!r} leaves the figure"
        for text, (left, low, right, high) in zip(texts, boxes, strict=True)
        if left < -_ALLOWED or low < -_ALLOWED or right > width + _ALLOWED or high > height + _ALLOWED
    ]
    found += [f"{text.get_text()!r} is too small" for text in texts if float(text.get_fontsize()) < _SMALLEST]
    low, high = np.maximum(boxes[:, None, :2], boxes[None, :, :2]), np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    for one, other in np.argwhere((high - low > _ALLOWED).all(2)):
        if one < other:
            found.append(f"{texts[one].get_text()!r} overlaps {texts[other].get_text()!r}")
    return found


def _texts(figure: Figure) -> Iterator[Text]:
    yield from figure.texts
    for legend in figure.legends:
        yield from legend.get_texts()
    for axes in figure.axes:
        yield from axes.texts
        if (legend_of := axes.get_legend()) is not None:
            yield from legend_of.get_texts()
        yield from (axes.title, axes._left_title, axes._right_title)  # type: ignore[attr-defined]
        if axes.axison:
            yield from _texts_of_axis(axes)


def _texts_of_axis(axes: Axes) -> Iterator[Text]:
    for axis in (axes.xaxis, axes.yaxis):
        yield from (axis.label, axis.get_offset_text())
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (label for label in (tick.label1, tick.label2) if label.get_visible())
