"""Pictures of the runs of one setting: curves of all seeds, samples of the first."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from noisy_lightning.errors import InputError, reading
from noisy_lightning.figures import experiments as figures
from noisy_lightning.figures.dynamics import (
    Confidence,
    Fates,
    Spread,
    confidence_of,
    fates_of,
    loss_quantiles,
    memorization_by_class,
    spread_of,
    training_dynamics_map,
)
from noisy_lightning.figures.estimates import estimated_transition
from noisy_lightning.figures.losses import Losses, loss_distributions
from noisy_lightning.figures.matrices import Shares
from noisy_lightning.figures.panels import Curves
from noisy_lightning.runs import records
from noisy_lightning.runs.classification import confusion_matrix
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.measures import UNKNOWN, Ints, class_accuracy
from noisy_lightning.runs.records import Records

Metrics = Mapping[str, Sequence[Sequence[Mapping[str, str]]]]
"""By line, the rows of `metrics.csv` of each run."""
_ACCURACIES = {"Training, given labels": "train/acc", "Test, true labels": "test/acc"}


def pictures_of(
    setting: str, methods: Mapping[str, Sequence[Path]], functions: Mapping[str, str]
) -> Iterator[tuple[str, Figure]]:
    """Yield names and pictures of the runs of a setting.

    Args:
        setting: What it is called.
        methods: By method, the folders of its runs, that of the first seed first.
        functions: By method, its loss function.
    """
    metrics = {name: [RunFolder(run).read_metrics() for run in runs] for name, runs in methods.items()}
    yield from over_epochs(metrics, setting, functions)
    precision, recall = (curves_of(metrics, f"train/label_{name}") for name in ("precision", "recall"))
    if precision and recall:
        yield "selection", figures.selection_over_epochs(precision, recall, setting)
    yield from _of_samples(setting, {name: runs[0] for name, runs in methods.items()})


def over_epochs(metrics: Metrics, title: str, functions: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    """Yield pictures of the validation part and of accuracies over the epochs."""
    loss, accuracy = (curves_of(metrics, column) for column in ("val/loss", "val/acc"))
    if accuracy:
        yield "validation", figures.validation_curves(loss, accuracy, title, functions)
    panels = {heading: curves for heading, column in _ACCURACIES.items() if (curves := curves_of(metrics, column))}
    if panels:
        yield "epochs", figures.curves_over_epochs(panels, f"{title}: accuracy")


def _of_samples(setting: str, runs: Mapping[str, Path]) -> Iterator[tuple[str, Figure]]:
    """Yield pictures of what the samples of one run of each method went through."""
    losses: dict[str, Losses] = {}
    convergence: dict[str, Any] = {}
    class_names: dict[str, list[str]] = {}
    confidence: dict[str, Confidence] = {}
    spread: dict[str, Spread] = {}
    fates: dict[str, Fates] = {}
    estimates: dict[str, tuple[Shares, Shares, str]] = {}
    labels: dict[str, str] = {}
    for name, run in runs.items():
        try:
            with reading(run):  # whatever is damaged, it is of this run, and the others are shown
                seen = records.load(run)
                result = RunFolder(run).read_result()
                names = _class_names(result, seen)
                reference = np.where(seen.true_labels == UNKNOWN, seen.labels, seen.true_labels)
                accuracy = np.array([class_accuracy(row, reference, len(names)) for row in seen.prediction])
                estimate = (*_transitions(seen, result, len(names)), _origin(seen, result))
        except InputError as error:
            if (run / records.FOLDER).is_dir():  # else they have been deleted, to save space
                print(f"{error}; left out of the pictures", file=sys.stderr)
            continue
        class_names[name], convergence[name], estimates[name] = names, accuracy, estimate
        masks = (np.broadcast_to(mask, seen.loss.shape)[-1] for mask in (seen.is_clean, seen.is_noisy))
        losses[name] = Losses(seen.loss[-1], *masks)
        confidence[name], spread[name] = confidence_of(seen), spread_of(seen)
        if seen.is_noisy.any():
            fates[name] = fates_of(seen)
        labels[name] = (
            "true labels"
            if (seen.true_labels != UNKNOWN).all()
            else ("true labels, where these are known" if (seen.true_labels != UNKNOWN).any() else "given labels")
        )
    if not losses:
        return
    heading = f"{setting}: training samples by loss, last epoch"
    yield "losses", loss_distributions(losses, heading)
    yield "loss_quantiles", loss_quantiles(spread, f"{setting}: losses of training samples")
    yield "dynamics", training_dynamics_map(confidence, f"{setting}: confidence in the given label")
    heading = f"{setting}: accuracy of each class on the training images' {'; '.join(dict.fromkeys(labels.values()))}"
    yield "classes", figures.class_convergence(convergence, class_names, heading)
    if not all(others == names for others in class_names.values()):
        return  # what follows would be of one of several data sets
    if fates:
        yield "memorization", memorization_by_class(fates, names, f"{setting}: noisy samples, last epoch")
    yield "labels", figures.label_distribution(seen.true_labels, seen.labels, names, f"{setting}: training set")
    own = {name: one for name, one in estimates.items() if one[2] == _OF_METHOD} or dict([*estimates.items()][:1])
    for number, (name, (estimated, realized, origin)) in enumerate(own.items(), 1):
        title = f"{setting}: transition matrix, {name}, {origin}"
        picture = "transition" if len(own) == 1 else f"transition_{number}"
        yield picture, estimated_transition(estimated, realized, names, title)


_OF_METHOD = "as the method has estimated it"


def _origin(seen: Records, result: Mapping[str, Any]) -> str:
    if result.get("transition"):
        return _OF_METHOD
    return f"as the predictions of epoch {seen.epochs[_chosen(seen, result)] + 1} have it (given label by prediction)"


def _transitions(seen: Records, result: Mapping[str, Any], classes: int) -> tuple[Shares, Shares]:
    """Return the transition matrix that a run has estimated, and the realized one, all zeros where nobody knows it.

    Where the method has none, the classes that the network predicted, in the epoch that validation chose, stand for the
    true ones: in time, before it predicts wrong labels, too.
    """
    realized = _by_row(seen.true_labels, seen.labels, classes)
    if transition := result.get("transition"):
        estimated = np.array(transition["estimated"], np.float64)
        if estimated.shape != (classes, classes):
            raise InputError(f"the estimated transition matrix is of {estimated.shape}, not of {classes} classes")
        return estimated, realized
    return _by_row(seen.prediction[_chosen(seen, result)], seen.labels, classes), realized


def _chosen(seen: Records, result: Mapping[str, Any]) -> int:
    """Return the row of the epoch that validation chose, the last one where it chose none."""
    best = (result.get("best_epoch") or {}).get("epoch")
    return int(np.flatnonzero(seen.epochs == best)[0]) if best in seen.epochs else -1


def _by_row(rows: Ints, labels: Ints, classes: int) -> Shares:
    known = rows >= 0
    counts = confusion_matrix(rows[known].astype(np.int64), labels[known].astype(np.int64), classes)
    shares: Shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def curves_of(metrics: Metrics, column: str) -> dict[str, Curves]:
    """Return a column of metrics by line, (runs, epochs), NaN where a run has none; lines without any are out."""
    found = {}
    for name, runs in metrics.items():
        longest = max(map(len, runs), default=0)
        rows = [[_number(row.get(column)) for row in run] + [np.nan] * (longest - len(run)) for run in runs]
        values = np.array(rows)
        if values.size and not np.isnan(values).all():
            found[name] = values
    return found


def _number(text: str | None) -> float:
    """Return what a cell holds; NaN where that is no number."""
    try:
        return float(text or "nan")
    except ValueError:
        return np.nan


def _class_names(result: Mapping[str, Any], seen: Records) -> list[str]:
    """Return the names of all classes, or their numbers where a run has none.

    Raises:
        InputError: There are more classes than names.
    """
    highest = int(max(seen.labels.max(), seen.true_labels.max(), seen.prediction.max()))
    names = result.get("class_names") or range(highest + 1)
    if isinstance(names, str) or len(names) <= highest:
        raise InputError(f"class {highest} is none of {len(names)} class names")
    return list(map(str, names))
