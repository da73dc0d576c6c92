"""Pictures of many runs: over epochs, over noise rates, class by class, and of the losses of clean and noisy samples.

Like those of samples, pure functions from arrays to matplotlib figures.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from noisy_lightning.figures.panels import (
    Curves,
    Over,
    at_rates,
    draw_line,
    looks,
    multiples,
    over_epochs,
    spread,
    spread_at_places,
    starts_row,
)
from noisy_lightning.figures.style import (
    CLEAN,
    COLUMN,
    INK,
    NOISY,
    OTHER,
    PAGE,
    SMALL,
    finish,
    fitted,
    in_epochs,
    legend_above,
    legend_below,
    new_figure,
    shares,
    shortened,
    width_of,
)
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN, Floats, Ints

_LARGEST_WITH_NAMES = 20  # classes
_LONGEST_NAME = 24


def validation_curves(
    loss: Mapping[str, Curves],
    accuracy: Mapping[str, Curves],
    title: str,
    functions: Mapping[str, str] | None = None,
) -> Figure:
    """Draw accuracy and loss on the given labels of the validation part over the epochs, a line for each method.

    Losses of different functions cannot be compared: each function has a panel of its own.

    Args:
        loss: by method, (runs, epochs); NaN where a run has none.
        accuracy: the same, in [0, 1].
        title: such as the setting.
        functions: by method, the loss function; a method that is not there has one of its own.
    """
    own = {name: (functions or {}).get(name, name) for name in loss}
    panels = list(dict.fromkeys(own.values()))
    names = list(dict.fromkeys([*accuracy, *loss]))
    rows = ceil(len(panels) / 3)
    title = f"{title}{spread(map(len, [*loss.values(), *accuracy.values()]))}"
    figure = new_figure(PAGE, 2.4 if len(panels) < 2 else 2.3 + 1.75 * rows, title)
    if len(panels) < 2:
        width = PAGE / 2 - 0.75
        first, *others = figure.subplots(1, 2 if panels else 1, squeeze=False)[0]
    else:
        width = PAGE / 3 - 0.75
        places = figure.add_gridspec(1 + rows, 3, height_ratios=[1.25, *[1.0] * rows])
        first = figure.add_subplot(places[0, :])
        others = [figure.add_subplot(places[1 + n // 3, n % 3]) for n in range(len(panels))]
    styles = dict(zip(names, looks(), strict=False))
    for name, runs in accuracy.items():
        draw_line(first, name, over_epochs(runs), styles[name], marked=False)
    finish(first, "Validation accuracy", "epoch", "accuracy, given labels")
    shares(first)
    for number, (axes, panel) in enumerate(zip(others, panels, strict=True)):
        members = [name for name in loss if own[name] == panel]
        for name in members:
            draw_line(axes, name, over_epochs(loss[name]), styles[name], marked=False)
        heading = "Validation loss" if len(panels) < 2 else panel
        finish(axes, fitted(heading, width), "epoch", "loss, given labels" if number % 3 == 0 else "")
    for axes in (first, *others):
        in_epochs(axes)
    legend_below(figure)
    return figure


def curves_over_epochs(panels: Mapping[str, Mapping[str, Curves]], title: str, measure: str = "accuracy") -> Figure:
    """Draw shares over the epochs, a panel for each of what they are of and a line for each method or noise rate.

    Source: INCV's figure of test accuracy during training, and studies that draw a line for each noise rate.

    Args:
        panels: by heading, such as `training, given labels` and `test, true labels`, and by line, (runs, epochs) in
            [0, 1]; NaN where a run has none.
        title: such as the setting.
        measure: what the shares are.
    """
    lines = [curves for panel in panels.values() for curves in panel.values()]
    figure, axes_of, width = multiples(len(panels), f"{title}{spread(map(len, lines))}", 2.2, columns=2)
    styles = dict(zip(dict.fromkeys(name for panel in panels.values() for name in panel), looks(), strict=False))
    for number, (axes, (heading, curves)) in enumerate(zip(axes_of, panels.items(), strict=True)):
        for name, runs in curves.items():
            draw_line(axes, name, over_epochs(runs), styles[name], marked=False)
        finish(axes, fitted(heading, width), "epoch", measure if starts_row(number, len(panels), 2) else "")
        shares(axes)
        in_epochs(axes)
    legend_below(figure)
    return figure


def accuracy_over_rate(panels: Mapping[str, Mapping[str, Over]], title: str, measure: str = "test accuracy") -> Figure:
    """Draw a measure over the nominal noise rate, a panel for each kind of noise and a line for each method.

    Args:
        panels: by kind of noise and method, shares in [0, 1].
        title: what accuracy this is.
        measure: what the shares are.
    """
    overs = [over for methods in panels.values() for over in methods.values()]
    figure, axes_of, width = multiples(len(panels), f"{title}{spread_at_places(overs)}", 2.2, columns=2, share_y=True)
    styles = dict(zip(dict.fromkeys(name for methods in panels.values() for name in methods), looks(), strict=False))
    for number, (axes, (kind, methods)) in enumerate(zip(axes_of, panels.items(), strict=True)):
        for name, over in methods.items():
            draw_line(axes, name, over, styles[name])
        finish(axes, fitted(kind, width), "noise rate", measure if starts_row(number, len(panels), 2) else "")
        at_rates([axes], methods.values())
    shares(*axes_of)
    legend_below(figure)
    return figure


def train_and_test(methods: Mapping[str, Mapping[str, Over]], title: str) -> Figure:
    """Draw accuracy on the given labels of the training part and on the test set over the noise rate, method by method.

    Args:
        methods: by method, `training` and `test`, accuracies in [0, 1].
        title: what noise this is.
    """
    overs = [over for curves in methods.values() for over in curves.values()]
    figure, panels, width = multiples(len(methods), f"{title}{spread_at_places(overs)}", share_y=True)
    for number, (axes, (name, curves)) in enumerate(zip(panels, methods.items(), strict=True)):
        styles = {"training, given labels": (NOISY, "--", "s"), "test, true labels": (CLEAN, "-", "o")}
        for (label, look), over in zip(styles.items(), (curves["training"], curves["test"]), strict=True):
            draw_line(axes, label, over, look)
        finish(axes, fitted(name, width), "noise rate", "accuracy" if starts_row(number, len(methods)) else "")
        at_rates([axes], curves.values())
    shares(*panels)
    legend_below(figure)
    return figure


def class_convergence(methods: Mapping[str, Floats], class_names: Mapping[str, Sequence[str]], title: str) -> Figure:
    """Draw the accuracy of each class over the epochs, method by method; the best and the worst class are named.

    Args:
        methods: by method, (epochs, K) in [0, 1], NaN for a class of which no sample was seen.
        class_names: by method, K names.
        title: such as the setting.
    """
    figure, panels, width = multiples(len(methods), title, 2.3, share_y=True)
    for number, (axes, (name, accuracy)) in enumerate(zip(panels, methods.items(), strict=True)):
        epochs = np.arange(1, len(accuracy) + 1)
        marker = "o" if len(accuracy) == 1 else None
        axes.plot(epochs, accuracy, color=OTHER, linewidth=0.7, alpha=0.6, marker=marker, markersize=2.5)
        last = accuracy[-1]
        if not np.isnan(last).all():
            best, worst = int(np.nanargmax(last)), int(np.nanargmin(last))
            styles: tuple[tuple[str, int, dict[str, Any]], ...]
            styles = (("best", best, {"color": CLEAN}), ("worst", worst, {"color": NOISY, "linestyle": "--"}))
            for place, row, style in styles:
                label = f"{place}: {class_names[name][row]}"
                axes.plot(epochs, accuracy[:, row], linewidth=1.6, label=label, marker=marker, markersize=4, **style)
        finish(axes, fitted(name, width), "epoch", "accuracy of a class" if starts_row(number, len(methods)) else "")
        legend_above(axes, width)
        in_epochs(axes)
    shares(*panels)
    return figure


def label_distribution(true: Ints, given: Ints, class_names: Sequence[str], title: str) -> Figure:
    """Draw how many samples have each class as true and as given label.

    Args:
        true: (N,) true labels, -1 where unknown, -2 where an image is of none of the classes.
        given: (N,) given labels.
        class_names: K names.
        title: what noise this is.
    """
    count = len(class_names)
    figure = new_figure(COLUMN if count <= 10 else PAGE, 2.2 + room_of_names(class_names), title)
    axes = figure.subplots()
    places = np.arange(count)
    series: list[tuple[str, dict[str, Any], Ints]]
    series = [(f"given (n = {len(given):,})", {"color": NOISY, "hatch": "////", "edgecolor": "white"}, given)]
    if (true != UNKNOWN).any():
        known = true[true > FOREIGN]
        series.insert(0, (f"true (n = {(known >= 0).sum():,})", {"color": CLEAN}, known[known >= 0]))
    width = 0.8 / len(series)
    for number, (name, style, labels) in enumerate(series):
        heights = np.bincount(labels, minlength=count)
        axes.bar(places - 0.4 + (number + 0.5) * width, heights, width, linewidth=0, label=name, **style)
    finish(axes, "", "class", "samples")
    name_classes(axes, class_names)
    axes.grid(visible=False, axis="x")
    legend_above(axes, COLUMN - 0.7)
    return figure


def name_classes(axes: Axes, class_names: Sequence[str]) -> None:
    """Name the classes on the x axis where they are few enough, else let it count them."""
    if len(class_names) <= _LARGEST_WITH_NAMES:
        names = [shortened(name, _LONGEST_NAME) for name in class_names]
        axes.set_xticks(range(len(names)), names, parse_math=False)
        axes.tick_params(axis="x", rotation=90 if room_of_names(class_names) else 0)
    else:
        axes.set_xlabel(f"{axes.get_xlabel()}, by number", color=INK)
    axes.tick_params(axis="x", labelsize=SMALL)


def room_of_names(class_names: Sequence[str]) -> float:
    """Return how many inches the names of classes below an axis are high beyond a line of text."""
    if len(class_names) > _LARGEST_WITH_NAMES or max(map(len, class_names)) <= 2:
        return 0.0
    return max(width_of(shortened(name, _LONGEST_NAME), SMALL) for name in class_names)


def selection_over_epochs(precision: Mapping[str, Curves], recall: Mapping[str, Curves], title: str) -> Figure:
    """Draw label precision and label recall of what methods keep, over the epochs.

    Args:
        precision: by method, (runs, epochs) in [0, 1].
        recall: the same.
        title: such as the setting.
    """
    panels = {"Label precision: kept that are clean": precision, "Label recall: clean that are kept": recall}
    return curves_over_epochs(panels, title, "share of samples")
