"""The transition matrix that was estimated beside the real one."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from noisy_lightning.figures.matrices import (
    Shares,
    color_bar,
    draw_matrix,
    has_numbers,
    in_percent_of_one,
    matrix_panels,
    name_matrix,
    settle,
    shares_bar,
)


def estimated_transition(
    estimated: Shares, realized: Shares | None, class_names: Sequence[str], title: str = ""
) -> Figure:
    """Draw the transition matrix that was estimated, beside the realized one and the difference of both.

    Where no true label is known, the estimate stands alone. A class without samples has a gray row in the realized
    matrix and in the difference, and does not count in the mean of the latter.

    Source: Patrini et al., Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach, CVPR 2017,
    whose estimator is judged by ‖T̂ − T‖; figures of Xia et al., Are Anchor Points Really Indispensable in Label-Noise
    Learning?, NeurIPS 2019.

    Args:
        estimated: (K, K) shares in [0, 1], rows over true classes.
        realized: (K, K) the same, all zeros for a class without samples; None or all zeros: nobody knows it.
        class_names: K names.
        title: what estimated it of what.
    """
    if realized is None or not realized.any():
        figure, panels = matrix_panels(1, class_names, title)
        image = draw_matrix(panels[0], _seen(estimated), class_names, in_percent_of_one)
        name_matrix(panels[0], _in_percent("estimated", class_names), "given label")
        shares_bar(figure, image, panels)
        settle(figure)
        return figure
    figure, panels = matrix_panels(3, class_names, title)
    for axes, name, matrix in zip(panels, ("estimated", "realized"), (estimated, realized), strict=False):
        image = draw_matrix(axes, _seen(matrix), class_names, in_percent_of_one)
        name_matrix(axes, _in_percent(name, class_names), "given label")
    shares_bar(figure, image, panels[:2])
    difference = np.where(realized.any(1, keepdims=True), estimated - realized, np.nan)
    largest = max(0.01, float(np.nanmax(np.abs(difference))))
    image = draw_matrix(panels[2], difference, class_names, in_points, cmap="PuOr_r", norm=Normalize(-largest, largest))
    name_matrix(panels[2], f"difference, mean {100 * np.nanmean(np.abs(difference)):.2f} points", "given label")
    bar = color_bar(figure, image, panels[2:], "estimated minus realized\n(points)")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:+g}".replace("-", "−")))
    settle(figure)
    return figure


def in_points(difference: float) -> str:
    """Return a difference of shares in points, without a sign where it rounds to none."""
    return "0.0" if abs(difference) < 0.0005 else f"{100 * difference:+.1f}".replace("-", "−")


def _seen(matrix: Shares) -> Shares:
    return np.where(matrix.any(1, keepdims=True), matrix, np.nan)


def _in_percent(name: str, class_names: Sequence[str]) -> str:
    return f"{name}, %" if has_numbers(class_names) else name
