"""Shapes of losses: what a sample costs over the probability that its given label has."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from noisy_lightning.figures.panels import looks
from noisy_lightning.figures.style import COLUMN, finish, legend_below, new_figure, percent
from noisy_lightning.runs.measures import Floats


def loss_shapes(probability: Floats, losses: Mapping[str, Floats], title: str = "", name: str = "loss") -> Figure:
    """Draw losses over the probability of the given label: bounded ones weigh a wrong label less.

    Source: Zhang and Sabuncu, Generalized Cross Entropy Loss, NeurIPS 2018; Ma et al., Normalized Loss Functions for
    Deep Learning with Noisy Labels, ICML 2020.

    Args:
        probability: (P,) of the given label, in [0, 1].
        losses: by name, (P,) each.
        title: such as the number of classes.
        name: of the y axis.
    """
    figure = new_figure(COLUMN, 2.3, title)
    axes = figure.subplots()
    for (label, loss), (color, dashes, _) in zip(losses.items(), looks(), strict=False):
        axes.plot(probability, loss, color=color, linestyle=dashes, linewidth=1.3, label=label)
    finish(axes, "", "probability of the given label", name)
    percent(axes.xaxis)
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    legend_below(figure)
    return figure
