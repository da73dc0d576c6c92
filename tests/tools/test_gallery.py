"""No figure has texts that cover each other, that leave it, or that nobody can read, whatever it is asked to draw."""

from typing import Any

import pytest

from noisy_lightning.figures.style import COLUMN, PAGE, finish, new_figure
from tests.figures.layout import faults
from tests.figures.situations import LONG, fabricated
from tests.tools.gallery import FIGURES, figure_functions

NASTY: dict[str, dict[str, Any]] = {
    "usual": {},
    "smallest": {"classes": 2, "methods": 1, "epochs": 1},
    "a hundred classes": {"classes": 100, "methods": 1},
    "long names": {"names": LONG, "title": "W" * 30 + " " + LONG * 2, "known": "some"},
    "missing": {"nan": True, "methods": 1},
    "all clean": {"known": "clean", "methods": 1},
    "unknown": {"known": "none", "methods": 1},
    "twelve methods": {"methods": 12, "classes": 3},
}
_OF_TRUTH = {
    *("label_distribution", "loss_distributions", "training_dynamics_map", "loss_quantiles", "memorization_by_class"),
    *("loss_and_memorization", "loss_histograms", "sample_grid", "estimated_transition", "class_convergence"),
}
ONLY = {
    "all clean": _OF_TRUTH,
    "unknown": _OF_TRUTH,
    "a hundred classes": {
        *("class_convergence", "label_distribution", "memorization_by_class", "embedding_map", "estimated_transition"),
        *("transition_matrices", "confusion_picture"),
    },
    "twelve methods": {
        *("validation_curves", "curves_over_epochs", "accuracy_over_rate", "train_and_test", "class_convergence"),
        *("loss_distributions", "training_dynamics_map", "loss_quantiles", "memorization_by_class", "loss_shapes"),
        "loss_landscape",
    },
}
"""Situations that few functions notice."""
_SITUATIONS: dict[str, Any] = {}


def situation(name: str) -> Any:
    if name not in _SITUATIONS:
        _SITUATIONS[name] = fabricated(**NASTY[name])
    return _SITUATIONS[name]


def test_the_gallery_draws_every_figure_function() -> None:
    assert figure_functions() == set(FIGURES)


@pytest.mark.parametrize(("function", "name"), [(f, n) for f in FIGURES for n in NASTY if f in ONLY.get(n, {f})])
def test_texts_are_apart_and_within(function: str, name: str) -> None:
    assert faults(FIGURES[function](situation(name))) == []


@pytest.mark.parametrize("function", FIGURES)
def test_a_figure_is_no_wider_than_a_page_and_its_letters_are_no_smaller_than_print(function: str) -> None:
    figure = FIGURES[function](situation("usual"))
    assert figure.get_figwidth() <= PAGE + 0.2


def test_faults_are_found() -> None:
    figure = new_figure(COLUMN, 2, "a title")
    axes = figure.subplots()
    finish(axes, "a heading", "x", "y")
    assert faults(figure) == []
    figure.text(0.5, 0.5, "one", fontsize=4)
    figure.text(0.5, 0.5, "other")
    figure.text(0.95, 0.3, "beyond the edge")
    assert faults(figure) == ["'beyond the edge' leaves the figure", "'one' is too small", "'one' overlaps 'other'"]
