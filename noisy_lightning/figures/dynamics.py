"""Pictures of how single samples fare in a run: what the network learns early, what late, and what never."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from noisy_lightning.figures.experiments import name_classes, room_of_names
from noisy_lightning.figures.matrices import color_bar
from noisy_lightning.figures.samples import FATES, groups
from noisy_lightning.figures.style import (
    COLUMN,
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
_QUANTILES = (5, 25, 50, 75, 95)
_HATCHES = {"memorised": "", "corrected": "////", "neither": "...."}


def training_dynamics_map(methods: Mapping[str, Records], title: str) -> Figure:
    """Draw each sample's mean confidence in its given label over the epochs against how much that varies.

    What is easy to learn lies at the top left, what is hard at the bottom left, what is ambiguous to the right. Clean
    and noisy samples have maps of their own. A cell says how many samples lie in it, on a logarithmic scale, so that a
    map of a million samples is no larger a file than one of a thousand.

    Source: Swayamdipta et al., Dataset Cartography: Mapping and Diagnosing Datasets with Training Dynamics, EMNLP 2020,
    equations 1 and 2.

    Args:
        methods: by method, a run.
        title: such as the setting.
    """
    maps = {name: _confidence_over_epochs(records) for name, records in methods.items()}
    figure, panels = _panels(methods, title, 1.9)
    norm = LogNorm(1, 2)
    for (name, group), (axes, color, members) in panels.items():
        mean, deviation, epochs = maps[name]
        chosen = members[-1] & np.isfinite(mean)
        hues = LinearSegmentedColormap.from_list(group, ["#DDDDDD", color, "#222222"])
        cells = axes.hexbin(
            deviation[chosen], mean[chosen], gridsize=(_CELLS, _CELLS // 2), extent=(0, 0.5, 0, 1), mincnt=1, cmap=hues
        )
        norm = LogNorm(1, max(norm.vmax or 2.0, float(np.asarray(cells.get_array()).max(initial=1))))
        axes.set(xlim=(-0.01, 0.51), ylim=(-0.03, 1.03))
        heading = fitted(name, _WIDTH, f": {group} (n = {chosen.sum():,})")
        finish(axes, heading, f"standard deviation over {epochs} epochs", "mean confidence")
    for axes, _, _ in panels.values():
        axes.collections[0].set_norm(norm)
    gray = LinearSegmentedColormap.from_list("samples", ["#DDDDDD", OTHER, "#222222"])
    found = ScalarMappable(norm, gray)
    bar = color_bar(figure, found, [one[0] for one in panels.values()], "samples in a cell (logarithmic scale)")
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda samples, _: f"{samples:,.0f}"))
    return figure


def loss_quantiles(methods: Mapping[str, Records], title: str) -> Figure:
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
    figure, panels = _panels(methods, title, 1.7)
    for (name, group), (axes, color, members) in panels.items():
        records = methods[name]
        rows = zip(records.loss, members, strict=True)
        bands = np.array([_quantiles(row[chosen & np.isfinite(row)]) for row, chosen in rows]).T
        epochs, dots = records.epochs + 1, "o" if len(records.epochs) == 1 else None
        axes.fill_between(epochs, bands[0], bands[4], color=color, alpha=0.18, linewidth=0, label="5 to 95 %")
        axes.fill_between(epochs, bands[1], bands[3], color=color, alpha=0.35, linewidth=0, label="25 to 75 %")
        axes.plot(epochs, bands[2], color=color, linewidth=1.5, marker=dots, markersize=3.5, label="median")
        seen = (members & (records.prediction >= 0))[-1].sum()
        finish(axes, fitted(name, _WIDTH, f": {group} (n = {seen:,})"), "epoch", "training loss")
        in_epochs(axes)
    for name in methods:
        own = [axes for (method, _), (axes, _, _) in panels.items() if method == name]
        lows, highs = zip(*(axes.get_ylim() for axes in own), strict=True)
        for axes in own:
            axes.set_ylim(min(0.0, *lows), max(highs))
    legend_below(figure, [next(iter(panels.values()))[0]])
    return figure


def memorization_by_class(methods: Mapping[str, Records], class_names: Sequence[str], title: str) -> Figure:
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
    for panels, (name, records) in zip(rows, methods.items(), strict=True):
        noisy = np.broadcast_to(records.is_noisy, records.loss.shape)[-1] & (records.prediction[-1] >= 0)
        labels = records.labels if records.epoch_labels is None else records.epoch_labels[-1]
        for axes, (kind, classes) in zip(
            panels, {"true class": records.true_labels, "given label": labels}.items(), strict=True
        ):
            counted = noisy & (classes >= 0)
            draw_fates(axes, _fates(records, labels, counted), classes[counted], len(class_names))
            share = "noisy samples predicted" if kind == "true class" else ""
            finish(axes, fitted(name, _WIDTH, f" (n = {counted.sum():,})"), kind, share)
            name_classes(axes, class_names)
            axes.grid(visible=False, axis="x")
            percent(axes.yaxis)
            axes.set(ylim=(0, 1), xlim=(-0.6, len(class_names) - 0.4))
    legend_below(figure, [rows[0, 0]])
    return figure


def draw_fates(axes: Axes, fates: Mapping[str, Bools], classes: Ints, count: int) -> None:
    """Draw stacked bars of what became of samples.

    Args:
        axes: Where to.
        fates: (n,) by the names of `FATES`.
        classes: (n,) in [0, K).
        count: K.
    """
    total = np.maximum(np.bincount(classes, minlength=count), 1)
    bottom = np.zeros(count)
    for name, members in fates.items():
        label, color, _ = FATES[name]
        share = np.bincount(classes[members], minlength=count) / total
        axes.bar(
            np.arange(count),
            share,
            0.8,
            bottom,
            color=color,
            hatch=_HATCHES[name],
            edgecolor="white",
            linewidth=0,
            label=label,
        )
        bottom += share


_Panels = dict[tuple[str, str], tuple[Axes, str, Bools]]


def _panels(methods: Mapping[str, Records], title: str, height: float) -> tuple[Figure, _Panels]:
    """Return a figure and, by method and group, axes, color and members (E, N): a row for each method with two."""
    found = {}
    for name, records in methods.items():
        masks = (np.broadcast_to(mask, records.loss.shape) for mask in (records.is_clean, records.is_noisy))
        found[name] = groups(*masks)
    columns = max(map(len, found.values()))
    figure = new_figure(PAGE if columns > 1 else COLUMN + 0.6, height * len(methods) + 0.25, title)
    rows = figure.subplots(len(methods), columns, squeeze=False)
    panels: _Panels = {}
    for axes_of, (name, members_of) in zip(rows, found.items(), strict=True):
        for spare in axes_of[len(members_of) :]:
            spare.remove()
        for axes, (group, (color, _), members) in zip(axes_of, members_of, strict=False):
            panels[name, group] = (axes, color, members)
    return figure, panels


def _quantiles(loss: Floats) -> list[float]:
    return np.percentile(loss, _QUANTILES).tolist() if len(loss) else [np.nan] * len(_QUANTILES)


def _fates(records: Records, labels: Ints, counted: Bools) -> dict[str, Bools]:
    """Return what became of the samples that count, (n,) each."""
    prediction = records.prediction[-1][counted]
    memorized, corrected = prediction == labels[counted], prediction == records.true_labels[counted]
    return {"memorised": memorized, "corrected": corrected, "neither": ~memorized & ~corrected}


def _confidence_over_epochs(records: Records) -> tuple[Floats, Floats, int]:
    """Return mean and standard deviation (N,) of the confidence, NaN where a sample was never seen, and E."""
    seen = np.isfinite(records.confidence)
    count = np.maximum(seen.sum(0), 1)
    values = np.where(seen, records.confidence, 0)
    mean = values.sum(0) / count
    deviation = np.sqrt((np.where(seen, values - mean, 0) ** 2).sum(0) / count)
    never = ~seen.any(0)
    return np.where(never, np.nan, mean), np.where(never, np.nan, deviation), len(records.epochs)
