"""Pictures of a classifier's answers: which classes it confuses, and how far its probabilities can be trusted."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from noisy_lightning.figures.matrices import draw_matrix, matrix_panels, name_matrix, settle, shares_bar
from noisy_lightning.figures.style import CLEAN, COLUMN, NOISY, OTHER, finish, legend_above, new_figure, percent
from noisy_lightning.runs.classification import Calibration
from noisy_lightning.runs.measures import Ints


def confusion_picture(confusion: Ints, class_names: Sequence[str], title: str = "") -> Figure:
    """Draw a confusion matrix, each row in colors of its shares, on a square-root scale.

    Up to 20 classes the cells say their counts, up to 100 there are names. The row of a class without images stays
    gray.

    Args:
        confusion: (K, K) counts, rows over true classes.
        class_names: K names.
        title: Of what this is.
    """
    figure, (axes,) = matrix_panels(1, class_names, title)
    with np.errstate(invalid="ignore"):
        shares = confusion / confusion.sum(1, keepdims=True)
    image = draw_matrix(axes, shares, class_names, str, confusion)
    name_matrix(axes, f"images (n = {confusion.sum():,})", "predicted class")
    shares_bar(figure, image, [axes])
    settle(figure)
    return figure


def reliability_diagram(found: Calibration, title: str = "") -> Figure:
    """Draw accuracy over confidence, beside the line on which both are the same, above how many predictions there are.

    Args:
        found: As `calibration` returns it.
        title: Of what this is.
    """
    figure = new_figure(COLUMN, 3.4, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=OTHER, linestyle="--", linewidth=1, label="calibrated")
    upper.stairs(np.nan_to_num(found.accuracy), found.edges, fill=True, color=CLEAN, alpha=0.3, linewidth=0)
    upper.plot(found.confidence, found.accuracy, color=CLEAN, marker="o", markersize=3.5, linewidth=1, label="measured")
    count = found.count.sum()
    finish(upper, f"Calibration error {100 * found.error:.2f} % (ECE, {len(found.count)} bins)", "", "accuracy")
    upper.set_ylim(0, 1.03)
    legend_above(upper, COLUMN - 0.7)
    shares = found.count / max(1, count)
    lower.stairs(shares, found.edges, fill=True, color=NOISY, alpha=0.5, linewidth=0)
    finish(lower, f"n = {count:,}", "probability of the predicted class", "predictions")
    lower.set_ylim(0, max(0.01, 1.1 * float(shares.max())))
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        percent(axis)
    upper.set_xlim(0, 1)
    return figure
