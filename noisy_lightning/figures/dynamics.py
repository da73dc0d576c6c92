"""Pictures of how single samples fare in a run: what the network learns early, what late, and what never."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from noisy_lightning.figures.experiments import name_classes, room_of_names
from noisy_lightning.figures.losses import groups
from noisy_lightning.figures.matrices import color_bar
from noisy_lightning.figures.samples import FATES
from noisy_lightning.figures.style import (
    CLEAN,
    COLUMN,
    NOISY,
    OTHER,
    PAGE,
    finish,
    fitted,
    in_epochs,
    legend_below,
    new_figure,
    percent,
)
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.runs.records import Records

_WIDTH = PAGE / 2 - 0.8  # inches of axes, of which two stand in a row
_CELLS = 28  # of a map, from left to right
_HUES = {"clean": CLEAN, "noisy": NOISY, "all samples": OTHER}
_QUANTILES = (5, 25, 50, 75, 95)
_OUTER, _INNER = 0.18, 0.35  # opacities of bands
_HATCHES = {"memorised": "", "corrected": "////", "neither": "...."}


class Confidence(NamedTuple):
    """How sure a network was of the given labels of N samples, over the epochs."""

    mean: Floats
    """(N,) in [0, 1], NaN where a sample was never seen."""
    deviation: Floats
    """(N,) standard deviation in [0, 0.5]."""
    is_clean: Bools
    """(N,) known to be, in the last epoch where each has labels of its own."""
    is_noisy: Bools
    """(N,) likewise."""
    epochs: int


class Spread(NamedTuple):
    """How the losses of samples spread over E epochs."""

    epochs: Ints
    """(E,) counted from 0."""
    bands: Mapping[str, Floats]
    """By group of samples, such as clean ones, (5, E): percentiles 5, 25, 50, 75 and 95, NaN where none was seen."""
    samples: Mapping[str, int]
    """By group, how many samples were seen in the last epoch."""


class Fates(NamedTuple):
    """What became of the n noisy samples that the last epoch has seen."""

    true: Ints
    """(n,) true classes, -2 where an image is of none of the classes."""
    given: Ints
    """(n,) given labels."""
    predicted: Ints
    """(n,) predicted classes."""


def confidence_of(records: Records) -> Confidence:
    """Return what a map of training dynamics shows of a run."""
    seen = np.isfinite(records.confidence)
    count = np.maximum(seen.sum(0), 1)
    mean = np.where(seen, records.confidence, 0).sum(0) / count
    deviation = np.sqrt((np.where(seen, records.confidence - mean, 0) ** 2).sum(0) / count)
    never = ~seen.any(0)
    mean, deviation = (np.where(never, np.nan, values).astype(np.float32) for values in (mean, deviation))
    clean, noisy = (np.broadcast_to(mask, seen.shape)[-1] for mask in (records.is_clean, records.is_noisy))
    return Confidence(mean, deviation, clean, noisy, len(seen))


def spread_of(records: Records) -> Spread:
    """Return what a fan chart shows of the losses of a run."""
    masks = (np.broadcast_to(mask, records.loss.shape) for mask in (records.is_clean, records.is_noisy))
    bands, count = {}, {}
    for name, _, members in groups(*masks):
        rows = zip(records.loss, members, strict=True)
        bands[name] = np.array([_quantiles(row[chosen & np.isfinite(row)]) for row, chosen in rows], np.float32).T
        count[name] = int((members & (records.prediction >= 0))[-1].sum())
    return Spread(records.epochs, bands, count)


def fates_of(records: Records) -> Fates:
    """Return what became of the noisy samples of a run."""
    noisy = np.broadcast_to(records.is_noisy, records.loss.shape)[-1] & (records.prediction[-1] >= 0)
    labels = records.labels if records.epoch_labels is None else records.epoch_labels[-1]
    return Fates(records.true_labels[noisy], labels[noisy], records.prediction[-1][noisy])


def training_dynamics_map(methods: Mapping[str, Confidence], title: str) -> Figure:
    """Draw each sample's mean confidence in its given label over the epochs against how much that varies.

    What is easy to learn lies at the top left, what is hard at the bottom left, what is ambiguous to the right. Clean
    and noisy samples have maps of their own. A cell says how many samples lie in it, on a logarithmic scale, so that a
    map of a million samples is no larger a file than one of a thousand.

    Source: Swayamdipta et al., Dataset Cartography: Mapping and Diagnosing Datasets with Training Dynamics, EMNLP 2020,
    equations 1 and 2.

    Args:
        methods: by method, of a run.
        title: such as the setting.
    """
    figure, panels = _panels({name: _names(*one[2:4]) for name, one in methods.items()}, title, 1.9)
    norm = LogNorm(1, 2)
    for (name, group), axes in panels.items():
        mean, deviation, clean, noisy, epochs = methods[name]
        (members,) = (members for one, _, members in groups(clean, noisy) if one == group)
        chosen = members & np.isfinite(mean)
        hues = LinearSegmentedColormap.from_list(group, ["#DDDDDD", _HUES[group], "#222222"])
        cells = axes.hexbin(
            deviation[chosen], mean[chosen], gridsize=(_CELLS, _CELLS // 2), extent=(0, 0.5, 0, 1), mincnt=1, cmap=hues
        )
        norm = LogNorm(1, max(norm.vmax or 2.0, float(np.asarray(cells.get_array()).max(initial=1))))
        axes.set(xlim=(-0.01, 0.51), ylim=(-0.03, 1.03))
        heading = fitted(name, _WIDTH, f": {group} (n = {chosen.sum():,})")
        finish(axes, heading, f"standard deviation over {epochs} epochs", "mean confidence")
    for axes in panels.values():
        axes.collections[0].set_norm(norm)
    gray = LinearSegmentedColormap.from_list("samples", ["#DDDDDD", OTHER, "#222222"])
    found = ScalarMappable(norm, gray)
    bar = color_bar(figure, found, list(panels.values()), "samples in a cell (logarithmic scale)")
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda samples, _: f"{samples:,.0f}"))
    return figure


def loss_quantiles(methods: Mapping[str, Spread], title: str) -> Figure:
    """Draw how the losses of clean and of noisy samples spread over the epochs, method by method.

    The line is the median; the inner band runs from the first to the third quartile, the outer one from the 5th to the
    95th percentile of the samples. The panels of a method have one axis; those of different methods have their own,
    since losses of different functions cannot be compared.

    Source: fan charts of forecasts (Bank of England); of losses under label noise, Arpit et al., A Closer Look at
    Memorization in Deep Networks, ICML 2017, in which clean samples are fitted first.

    Args:
        methods: by method, a run.
        title: such as the setting.
    """
    figure, panels = _panels({name: list(one.bands) for name, one in methods.items()}, title, 1.7)
    for (name, group), axes in panels.items():
        own, color = methods[name], _HUES[group]
        bands, epochs, dots = own.bands[group], own.epochs + 1, "o" if len(own.epochs) == 1 else None
        axes.fill_between(epochs, bands[0], bands[4], color=color, alpha=_OUTER, linewidth=0)
        axes.fill_between(epochs, bands[1], bands[3], color=color, alpha=_INNER, linewidth=0)
        axes.plot(epochs, bands[2], color=color, linewidth=1.5, marker=dots, markersize=3.5)
        finish(axes, fitted(name, _WIDTH, f": {group} (n = {own.samples[group]:,})"), "epoch", "training loss")
        in_epochs(axes)
    for name in methods:
        pair = [axes for (method, _), axes in panels.items() if method == name]
        lowest = min(float(np.nanmin(bands, initial=0.0)) for bands in methods[name].bands.values())
        highest = max(axes.get_ylim()[1] for axes in pair)
        for axes in pair:
            axes.set_ylim(lowest, highest)
    # Gray, since the bands of both groups are meant.
    first = next(iter(panels.values()))
    first.fill_between([], [], color=OTHER, alpha=_OUTER, linewidth=0, label="5 to 95 %")
    first.fill_between([], [], color=OTHER, alpha=_INNER, linewidth=0, label="25 to 75 %")
    first.plot([], [], color=OTHER, linewidth=1.5, label="median")
    legend_below(figure, [first])
    return figure


def memorization_by_class(methods: Mapping[str, Fates], class_names: Sequence[str], title: str) -> Figure:
    """Draw what became of the noisy samples of each class in the last epoch, by true class and by given label.

    Memorized ones are predicted as their given label, corrected ones as their true class. A class without noisy samples
    has no bar.

    Source: Liu et al., Early-Learning Regularization Prevents Memorization of Noisy Labels, NeurIPS 2020, figure 1, of
    which this is the last epoch, class by class.

    Args:
        methods: by method, a run of which true labels are known.
        class_names: K names.
        title: such as the setting.
    """
    figure = new_figure(PAGE, (1.9 + room_of_names(class_names)) * len(methods) + 0.25, title)
    rows = figure.subplots(len(methods), 2, squeeze=False, sharey=True)
    for panels, (name, fates) in zip(rows, methods.items(), strict=True):
        kinds = {"true class": fates.true, "given label": fates.given}
        for axes, (kind, classes) in zip(panels, kinds.items(), strict=True):
            counted = classes >= 0
            _stack(axes, Fates(*(row[counted] for row in fates)), classes[counted], len(class_names))
            share = "noisy samples predicted" if kind == "true class" else ""
            finish(axes, fitted(name, _WIDTH, f" (n = {counted.sum():,})"), kind, share)
            name_classes(axes, class_names)
            axes.grid(visible=False, axis="x")
            percent(axes.yaxis)
            axes.set(ylim=(0, 1), xlim=(-0.6, len(class_names) - 0.4))
    legend_below(figure, [rows[0, 0]])
    return figure


def _stack(axes: Axes, fates: Fates, classes: Ints, count: int) -> None:
    """Draw stacked bars of what became of samples of so many classes (n,)."""
    memorized, corrected = fates.predicted == fates.given, fates.predicted == fates.true
    total, bottom = np.maximum(np.bincount(classes, minlength=count), 1), np.zeros(count)
    for name, members in zip(FATES, (memorized, corrected, ~memorized & ~corrected), strict=True):
        label, color, _ = FATES[name]
        share = np.bincount(classes[members], minlength=count) / total
        look: dict[str, Any] = {"color": color, "hatch": _HATCHES[name], "edgecolor": "white", "linewidth": 0}
        axes.bar(np.arange(count), share, 0.8, bottom, label=label, **look)
        bottom += share


def _panels(
    methods: Mapping[str, Sequence[str]], title: str, height: float
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """Return a figure and axes by method and group of samples: a row for each method."""
    columns = max(map(len, methods.values()))
    figure = new_figure(PAGE if columns > 1 else COLUMN + 0.6, height * len(methods) + 0.25, title)
    rows = figure.subplots(len(methods), columns, squeeze=False)
    panels: dict[tuple[str, str], Axes] = {}
    for axes_of, (name, own) in zip(rows, methods.items(), strict=True):
        for spare in axes_of[len(own) :]:
            spare.remove()
        panels |= {(name, group): axes for group, axes in zip(own, axes_of, strict=False)}
    return figure, panels


def _names(is_clean: Bools, is_noisy: Bools) -> list[str]:
    return [name for name, _, _ in groups(is_clean, is_noisy)]


def _quantiles(loss: Floats) -> list[float]:
    return np.percentile(loss, _QUANTILES).tolist() if len(loss) else [np.nan] * len(_QUANTILES)
