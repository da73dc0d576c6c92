"""Pictures of many runs: over epochs, over noise rates, class by class, and of the losses of clean and noisy samples.

Like those of samples, pure functions from arrays to matplotlib figures.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from math import ceil
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from noisy_lightning.figures.samples import draw_loss_histograms
from noisy_lightning.figures.style import CLEAN, INK, NOISY, OTHER, finish, new_figure
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN, Bools, Floats, Ints

# Okabe and Ito's palette without its yellow, which is invisible on white; dashes distinguish lines in black and white.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_COLUMNS = 3  # of small multiples

Curves = NDArray[np.float64]


class Over(NamedTuple):
    """What a line shows at each of its places x: the values of n runs."""

    x: Sequence[float]
    values: Sequence[Sequence[float]]


class Losses(NamedTuple):
    """The last losses of a run's training samples: (N,) each."""

    loss: Floats
    is_clean: Bools
    is_noisy: Bools


def validation_curves(loss: Mapping[str, Curves], accuracy: Mapping[str, Curves], title: str) -> Figure:
    """Draw loss and accuracy on the given labels of the validation part over the epochs, a line for each method.

    Args:
        loss: by method, (runs, epochs); NaN where a run has none.
        accuracy: the same, in [0, 1].
        title: such as the setting.
    """
    figure = new_figure(10.5, 3.6, f"{title}{_spread(map(len, loss.values()))}")
    left, right = figure.subplots(1, 2)
    for axes, curves in ((left, loss), (right, accuracy)):
        for (name, runs), look in zip(curves.items(), _looks(), strict=False):
            epochs = range(1, runs.shape[1] + 1)
            _line(axes, name, Over(list(epochs), runs.T.tolist()), look, marked=False)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    finish(left, "Validation loss, given labels", "epoch")
    finish(right, "Validation accuracy, given labels", "epoch")
    _share_legend(figure)
    return figure


def accuracy_over_rate(panels: Mapping[str, Mapping[str, Over]], title: str) -> Figure:
    """Draw test accuracy over the nominal noise rate, a panel for each kind of noise and a line for each method.

    Args:
        panels: by kind of noise and method, accuracies in [0, 1].
        title: what accuracy this is.
    """
    overs = [over for methods in panels.values() for over in methods.values()]
    figure = new_figure(2.5 + 4.2 * len(panels), 3.8, f"{title}{_spread_at_rates(overs)}")
    for axes, (kind, methods) in zip(_row(figure, len(panels)), panels.items(), strict=True):
        for (name, over), look in zip(methods.items(), _looks(), strict=False):
            _line(axes, name, over, look)
        axes.set_ylim(0, 1.02)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        finish(axes, kind, "noise rate")
    _share_legend(figure)
    return figure


def train_and_test(methods: Mapping[str, Mapping[str, Over]], title: str) -> Figure:
    """Draw accuracy on the given labels of the training part and on the test set over the noise rate, method by method.

    Args:
        methods: by method, `training` and `test`, accuracies in [0, 1].
        title: what noise this is.
    """
    overs = [over for curves in methods.values() for over in curves.values()]
    figure = new_figure(*_size(len(methods)), f"{title}{_spread_at_rates(overs)}")
    for axes, (name, curves) in zip(_grid(figure, len(methods)), methods.items(), strict=True):
        looks = {"training, given labels": (NOISY, "--", "s"), "test, true labels": (CLEAN, "-", "o")}
        for (label, look), over in zip(looks.items(), (curves["training"], curves["test"]), strict=True):
            _line(axes, label, over, look)
        axes.set_ylim(0, 1.02)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        finish(axes, name, "noise rate")
    return figure


def class_convergence(methods: Mapping[str, Floats], class_names: Mapping[str, Sequence[str]], title: str) -> Figure:
    """Draw the accuracy of each class over the epochs, method by method; the best and the worst class are named.

    Args:
        methods: by method, (epochs, K) in [0, 1], NaN for a class of which no sample was seen.
        class_names: by method, K names.
        title: such as the setting.
    """
    figure = new_figure(*_size(len(methods)), title)
    for axes, (name, accuracy) in zip(_grid(figure, len(methods)), methods.items(), strict=True):
        epochs = np.arange(1, len(accuracy) + 1)
        axes.plot(epochs, accuracy, color=OTHER, linewidth=0.8, alpha=0.6)
        last = accuracy[-1]
        if not np.isnan(last).all():
            best, worst = int(np.nanargmax(last)), int(np.nanargmin(last))
            for number, color, place in ((best, CLEAN, "best"), (worst, NOISY, "worst")):
                label = f"{place}: {class_names[name][number]}"
                axes.plot(epochs, accuracy[:, number], color=color, linewidth=1.8, label=label)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(axes, name, "epoch")
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
    figure = new_figure(max(4.8, 1.0 + 0.55 * min(count, 20)), 3.6, title)
    axes = figure.subplots()
    places = np.arange(count)
    series = [(f"given (n = {len(given):,})", NOISY, given)]
    if (true != UNKNOWN).any():
        known = true[true > FOREIGN]
        series.insert(0, (f"true (n = {(known >= 0).sum():,})", CLEAN, known[known >= 0]))
    width = 0.8 / len(series)
    for number, (name, color, labels) in enumerate(series):
        heights = np.bincount(labels, minlength=count)
        axes.bar(places - 0.4 + (number + 0.5) * width, heights, width, color=color, label=name)
    if count <= 20:
        axes.set_xticks(places, class_names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
    axes.set_ylim(top=1.25 * max(np.bincount(labels, minlength=count).max() for _, _, labels in series))
    finish(axes, "Samples by label", "" if count <= 20 else "class")
    return figure


def loss_distributions(methods: Mapping[str, Losses], title: str) -> Figure:
    """Draw the distributions of the losses of clean and noisy training samples in the last epoch, method by method.

    Args:
        methods: by method.
        title: such as the setting.
    """
    figure = new_figure(*_size(len(methods)), title)
    for axes, (name, losses) in zip(_grid(figure, len(methods)), methods.items(), strict=True):
        draw_loss_histograms(axes, *losses, heading=name)
    return figure


def selection_over_epochs(precision: Mapping[str, Curves], recall: Mapping[str, Curves], title: str) -> Figure:
    """Draw label precision and label recall of what methods keep, over the epochs.

    Args:
        precision: by method, (runs, epochs) in [0, 1].
        recall: the same.
        title: such as the setting.
    """
    figure = new_figure(10.5, 3.6, f"{title}{_spread(map(len, precision.values()))}")
    for axes, curves, name in zip(figure.subplots(1, 2), (precision, recall), ("precision", "recall"), strict=True):
        for (method, runs), look in zip(curves.items(), _looks(), strict=False):
            _line(axes, method, Over(list(range(1, runs.shape[1] + 1)), runs.T.tolist()), look, marked=False)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        finish(axes, f"Label {name} of what is kept", "epoch")
    _share_legend(figure)
    return figure


def _share_legend(figure: Figure) -> None:
    """Set one legend beside panels with the same lines, in which it would cover some."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        handles |= {name: line for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
        if (legend := axes.get_legend()) is not None:
            legend.remove()
    figure.legend(
        list(handles.values()), list(handles), loc="outside right upper", frameon=False, fontsize=9, labelcolor=INK
    )


def _looks() -> Iterator[tuple[str, str, str]]:
    """Return colors, dashes and markers for lines, of which no two are alike."""
    return cycle(
        (_COLORS[number % len(_COLORS)], _DASHES[number % len(_DASHES)], _MARKERS[number % len(_MARKERS)])
        for number in range(len(_COLORS) * len(_DASHES))
    )


def _line(axes: Axes, name: str, over: Over, look: tuple[str, str, str], marked: bool = True) -> None:
    """Draw means, and a band of one standard deviation where there are several runs."""
    color, dashes, marker = look
    columns = [np.array(values, np.float64) for values in over.values]
    columns = [values[np.isfinite(values)] for values in columns]
    mean = np.array([values.mean() if len(values) else np.nan for values in columns])
    std = np.array([values.std(ddof=1) if len(values) > 1 else 0.0 for values in columns])
    axes.plot(over.x, mean, color=color, linestyle=dashes, marker=marker if marked else None, markersize=4, label=name)
    if (std > 0).any():
        axes.fill_between(over.x, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)


def _spread(counts: Iterable[int]) -> str:
    """Return how many runs a line is of."""
    counts = set(counts) or {1}
    low, high = min(counts), max(counts)
    band = "; band: one standard deviation" if high > 1 else ""
    return f" (n = {low if low == high else f'{low} to {high}'}{band})"


def _spread_at_rates(overs: Iterable[Over]) -> str:
    return _spread(len(values) for over in overs for values in over.values)


def _size(panels: int) -> tuple[float, float]:
    columns = min(panels, _COLUMNS)
    return max(4.8, 3.4 * columns), 2.9 * ceil(panels / _COLUMNS)


def _grid(figure: Figure, panels: int) -> list[Axes]:
    """Return as many axes, in rows of three."""
    columns = min(panels, _COLUMNS)
    axes = figure.subplots(ceil(panels / columns), columns, squeeze=False).ravel().tolist()
    for spare in axes[panels:]:
        spare.axis("off")
    return axes[:panels]


def _row(figure: Figure, panels: int) -> list[Axes]:
    return list(figure.subplots(1, panels, squeeze=False, sharey=True)[0])
