"""What figures may be asked to draw at worst."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.figures.panels import Over
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN
from noisy_lightning.runs.records import Records
from tests.tools.gallery_runs import Situation, theory_over_rates

SHORT, LONG = "class {}", "{} the very long name of a class, $x_{{ that nobody could print whole"


def fabricated(
    classes: int = 10,
    methods: int = 2,
    epochs: int = 3,
    known: str = "all",
    names: str = SHORT,
    title: str = "Data, symmetric noise of 40 %",
    nan: bool = False,
) -> Situation:
    """Return numbers at random in the shape of what runs leave.

    Args:
        classes: K.
        methods: How many.
        epochs: E.
        known: Of which true labels are: "all", "clean" (all of which are the given ones), "none" or "some", the others
            being unknown or foreign.
        names: Of classes, with a place for a number.
        title: Of the figures.
        nan: Whether whole epochs, classes and runs are missing.
    """
    rng = np.random.default_rng(0)
    count = 20 * max(classes, 10)
    called = [f"method {number}" if names == SHORT else f"{number}: {LONG.format('M')}" for number in range(methods)]
    runs = {name: _records(rng, classes, epochs, count, known, nan) for name in called}
    curves = {}
    for column, top in (("val/loss", 3.0), *((name, 1.0) for name in _SHARES)):
        curves[column] = {name: top * rng.random((2, epochs)) for name in called}
        if nan:
            curves[column][called[0]][:] = np.nan
    rates = [0.0, 0.2, 0.4, 0.45, 0.8]
    over = {
        part: {kind: {name: Over(rates, rng.random((5, 2)).tolist()) for name in called} for kind in kinds}
        for part in ("training", "test")
        for kinds in [["Symmetric", names.format("Noise")]]
    }
    shares = rng.dirichlet(np.ones(classes), classes)
    realized = np.zeros((classes, classes)) if known == "none" else rng.dirichlet(np.ones(classes), classes)
    if nan:
        realized[0] = 0
    probability = np.linspace(0.01, 1, 20, dtype=np.float32)
    points = rng.normal(size=(count, 2)).astype(np.float32)
    if nan:
        points[: count // 2] = np.nan
    return Situation(
        title=title,
        class_names=[names.format(number) for number in range(classes)],
        runs=runs,
        curves=curves,
        over_rates=over,
        estimated=shares,
        realized=realized,
        nominal=np.eye(classes),
        confusion=rng.integers(0, 20000, (classes, classes)) * (rng.random((classes, 1)) > 0.3 * nan),
        points=points,
        suspects=rng.random(count) < 0.1,
        images=rng.integers(0, 256, (12, 3, 8, 8), dtype=np.uint8),
        iterations=[(0.9, 0.5), (0.95, 0.7)][: 1 if nan else 2],
        theory=theory_over_rates(classes),
        measured={0.2: {"accuracy": 0.5, "label_precision": 0.9, "label_recall": 0.4}},
        probability=probability,
        steps=np.linspace(-1, 1, 5).tolist(),
        surfaces={name: _around(rng, nan) for name in called},
        shapes={name: -np.log(probability) * (number + 1) for number, name in enumerate(called)},
    )


def _around(rng: np.random.Generator, nan: bool) -> NDArray[np.float64]:
    surface = rng.exponential(size=(5, 5))
    if nan:
        surface[0] = np.nan, np.inf, np.nan, 0, np.nan
    return surface


_SHARES = ("val/acc", "train/acc", "test/acc", "train/label_precision", "train/label_recall")


def _records(rng: np.random.Generator, classes: int, epochs: int, count: int, known: str, nan: bool) -> Records:
    truth = np.arange(count) % classes
    labels = np.where(rng.random(count) < 0.4, (truth + 1) % classes, truth)
    true_labels = {"all": truth, "clean": labels, "none": np.full(count, UNKNOWN)}.get(known, truth.copy())
    if known == "some":
        true_labels[::3], true_labels[1::5] = UNKNOWN, FOREIGN
    loss = rng.exponential(size=(epochs, count)).astype(np.float32)
    confidence = rng.random((epochs, count)).astype(np.float32)
    prediction = rng.integers(0, classes, (epochs, count))
    unseen = rng.random((epochs, count)) < (0.5 if nan else 0.02)
    if nan:
        unseen[-1] = True
        loss[0, :5] = np.inf
    loss[unseen], confidence[unseen], prediction[unseen] = np.nan, np.nan, -1
    split = np.full(count, "train")
    return Records(Path(), np.arange(epochs), loss, confidence, prediction, None, labels, true_labels, split)
