"""Distributions of the losses of clean and of noisy samples."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from noisy_lightning.figures.matrices import SQUARE_ROOT
from noisy_lightning.figures.panels import multiples, starts_row
from noisy_lightning.figures.style import CLEAN, NOISY, OTHER, finish, fitted, legend_above, percent
from noisy_lightning.runs.measures import Bools, Floats


class Losses(NamedTuple):
    """The last losses of a run's training samples: (N,) each."""

    loss: Floats
    is_clean: Bools
    is_noisy: Bools


def loss_distributions(methods: Mapping[str, Losses], title: str) -> Figure:
    """Draw the distributions of the losses of clean and noisy training samples in the last epoch, method by method.

    Args:
        methods: by method.
        title: such as the setting.
    """
    figure, panels, width = multiples(len(methods), title, 2.3)
    for number, (axes, (name, losses)) in enumerate(zip(panels, methods.items(), strict=True)):
        draw_loss_histograms(axes, *losses, heading=fitted(name, width), width=width)
        if not starts_row(number, len(methods)):
            axes.set_ylabel("")
    return figure


def draw_loss_histograms(
    axes: Axes, loss: Floats, is_clean: Bools, is_noisy: Bools, heading: str, width: float
) -> None:
    """Draw what `loss_histograms` shows into axes that are so many inches wide."""
    finite = np.isfinite(loss)
    top = 0.01
    if finite.any():
        low, high = min(0.0, float(loss[finite].min())), float(np.percentile(loss[finite], 99.5))
        edges = np.linspace(low, max(high, low + 1e-6), 51)
        for name, (color, dashes), members in groups(is_clean, is_noisy):
            chosen = np.minimum(loss[finite & members], edges[-1])
            share = np.histogram(chosen, edges)[0] / max(1, len(chosen))
            top = max(top, float(share.max()))
            axes.stairs(share, edges, fill=True, color=color, alpha=0.3, linewidth=0)
            label = f"{name} (n = {len(chosen):,})"
            axes.stairs(share, edges, color=color, linestyle=dashes, linewidth=1.3, label=label)
    axes.set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    axes.set_ylim(0, 1.1 * top)
    ticks = [tick for tick in (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1) if tick <= 1.1 * top]
    axes.set_yticks([tick for tick in ticks if tick != 0.01 or top < 0.6])  # beside 0 where the axis is long
    percent(axes.yaxis)
    finish(axes, heading, "loss", f"share of samples\n{SQUARE_ROOT}")
    legend_above(axes, width)


def groups(is_clean: Bools, is_noisy: Bools) -> list[tuple[str, tuple[str, str], Bools]]:
    """Return name, color with dashes, and members, in the shape of the masks, of the groups that exist."""
    both = [("clean", (CLEAN, "-"), is_clean), ("noisy", (NOISY, "--"), is_noisy)]
    known = [group for group in both if group[2].any()]
    return known or [("all samples", (OTHER, "-"), np.ones_like(is_clean))]
