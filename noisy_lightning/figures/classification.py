"""Pictures of a classifier's answers: which classes it confuses, and how far its probabilities can be trusted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from noisy_lightning.figures.style import CLEAN, INK, NOISY, OTHER, finish, new_figure
from noisy_lightning.runs.classification import Calibration
from noisy_lightning.runs.measures import Ints

_SHARES = "Blues"  # one hue, whose lightness is the value
_LARGEST_WITH_NUMBERS, _LARGEST_WITH_NAMES = 20, 100  # classes
_LONGEST_NAME = 30


def confusion_picture(confusion: Ints, class_names: Sequence[str], title: str = "") -> Figure:
    """Draw a confusion matrix, each row in colors of its shares, on a square-root scale.

    Up to 20 classes the cells say their counts, up to 100 there are names. The row of a class without images stays
    gray.

    Args:
        confusion: (K, K) counts, rows over true classes.
        class_names: K names.
        title: Of what this is.
    """
    count = len(class_names)
    numbers, named = count <= _LARGEST_WITH_NUMBERS, count <= _LARGEST_WITH_NAMES
    names = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in class_names]
    side = max(2.5, min(10.0, count * (0.45 if numbers else 0.1)))
    margin = 0.6 + 0.08 * (max(map(len, names)) if named else 4)
    figure = new_figure(side + margin + 1.1, side + margin + 0.4, title)
    axes = figure.subplots()
    with np.errstate(invalid="ignore"):
        shares = confusion / confusion.sum(1, keepdims=True)
    image = axes.imshow(shares, cmap=_SHARES, norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    axes.set_facecolor("#D9D9D9")
    axes.set_xlabel("predicted class", color=INK)
    axes.set_ylabel("true class", color=INK)
    if named:
        axes.set_xticks(range(count), names, rotation=90, parse_math=False)
        axes.set_yticks(range(count), names, parse_math=False)
    axes.tick_params(colors=INK, length=0, labelsize=9 if numbers or not named else 6)
    axes.spines[:].set_visible(False)
    for (row, column), images in np.ndenumerate(confusion) if numbers else ():
        if images:
            text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8 if images < 10_000 else 6}
            color = "white" if shares[row, column] > 0.3 else INK
            axes.text(column, row, str(images), color=color, **text).set_in_layout(False)  # it lies within
    bar = figure.colorbar(image, ax=axes, ticks=[0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1], aspect=30)
    bar.set_label("share of the true class", color=INK)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.ax.tick_params(colors=INK, length=0, labelsize=8)
    bar.outline.set_visible(False)
    return figure


def reliability_diagram(found: Calibration, title: str = "") -> Figure:
    """Draw accuracy over confidence, beside the line on which both are the same, above how many predictions there are.

    Args:
        found: As `calibration` returns it.
        title: Of what this is.
    """
    figure = new_figure(4.8, 4.8, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=OTHER, linestyle="--", linewidth=1, label="calibrated")
    upper.stairs(np.nan_to_num(found.accuracy), found.edges, fill=True, color=CLEAN, alpha=0.3, linewidth=0)
    upper.plot(found.confidence, found.accuracy, color=CLEAN, marker="o", markersize=4, linewidth=1, label="measured")
    upper.set_ylabel("accuracy", color=INK)
    upper.set_ylim(0, 1.02)
    finish(upper, f"Expected calibration error {100 * found.error:.2f} %, {len(found.count)} bins", "")
    shares = found.count / max(1, found.count.sum())
    lower.stairs(shares, found.edges, fill=True, color=NOISY, alpha=0.5, linewidth=0)
    lower.set_ylabel("predictions", color=INK)
    lower.set_ylim(0, max(0.01, 1.1 * float(shares.max())))
    finish(lower, "", "probability of the predicted class")
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    upper.set_xlim(0, 1)
    return figure
