"""What the selectors share that judge by the records of one training run on all labels."""

from collections.abc import Sequence

import numpy as np

from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.two_gaussians import scaled_to_unit, two_groups
from noisy_lightning.runs.measures import UNKNOWN, Bools, Floats, Ints
from noisy_lightning.runs.records import Records
from noisy_lightning.selectors.base import Fold, Judgment, Task, TrainingRuns, check_fold, suggestions


def train_on_all(task: Task, runs: TrainingRuns, epochs: int | None) -> tuple[Records, list[str]]:
    """Return what a training run on all labels recorded, and warnings.

    Raises:
        InputError: There are fewer samples than classes.
    """
    fold = Fold("all_labels", task.judged, np.zeros_like(task.judged), epochs=epochs)
    notes = check_fold(task, fold)  # before hours of training
    return runs.records(fold), notes


def judge(
    task: Task, records: Records, score: Floats, threshold: float, measure: str, notes: Sequence[str]
) -> Judgment:
    """Select the samples whose score belongs to the lower of two Gaussians, or all where there are no two groups.

    Args:
        task: The labels.
        records: Of the training run; what it predicted in most epochs is suggested.
        score: (N,) NaN for samples that were never seen, which are not judged.
        threshold: Probability of the higher group up to which a label is selected.
        measure: What the scores are, in the plural.
        notes: Warnings so far.

    Raises:
        InputError: There is no score at all: what was recorded is not finite.
    """
    judged = task.judged & ~np.isnan(score)
    if not judged.any():
        raise InputError(
            f"selector: the training run recorded no finite {measure}, so it has diverged, see {records.run}; a lower "
            "learning rate or trainer.gradient_clip_val may prevent it"
        )
    if unseen := int((task.judged & ~judged).sum()):
        notes = [*notes, f"{unseen:,} samples were never trained on and are not judged, so not selected"]
    high = high_component(score, judged)
    if high is None:
        notes = [*notes, f"the {measure} do not fall into two groups: all labels are selected"]
        high = np.zeros_like(score)
    select = judged & (high <= threshold)
    return Judgment(
        select=select,
        score=np.where(judged, score, np.float32(np.nan)),
        suggested=suggestions(commonest_prediction(records, task.num_classes), task.labels),
        candidate=np.zeros_like(select),
        noise_rate=float(1 - select[judged].mean()),
        assumption=f"two Gaussians of {measure}",
        warnings=notes,
    )


def mean_over_epochs(values: Floats, last: int | None) -> Floats:
    """Return the mean (N,) of the finite values (E, N) over the last epochs, NaN where there is none.

    Args:
        values: By epoch.
        last: How many epochs; None: all.
    """
    recent = values if last is None else values[-last:]
    counted = np.isfinite(recent)
    total = np.where(counted, recent, 0).sum(0, dtype=np.float64)
    mean = np.full(total.shape, np.nan, np.float32)
    np.divide(total, counted.sum(0), out=mean, where=counted.any(0), casting="unsafe")
    return mean


def commonest_prediction(records: Records, num_classes: int) -> Ints:
    """Return the class (N,) that was predicted in most epochs, -1 for samples never seen; the lowest among equals."""
    votes = np.zeros((records.prediction.shape[1], num_classes), np.int32)
    for row in records.prediction:
        seen = np.flatnonzero(row >= 0)
        np.add.at(votes, (seen, row[seen]), 1)
    prediction: Ints = np.where(votes.any(1), votes.argmax(1), UNKNOWN)
    return prediction


def high_component(values: Floats, judged: Bools) -> Floats | None:
    """Return the probability (N,) that a value belongs to the higher of two Gaussians fitted to all, NaN if not judged.

    Args:
        values: (N,).
        judged: (N,) which to fit to and to judge.

    Returns:
        None where there are fewer than 10 values, or not all are finite, or all are equal.
    """
    scaled = scaled_to_unit(values[judged])
    if scaled is None:
        return None
    probability = np.full(len(values), np.nan, np.float32)
    probability[judged] = two_groups(scaled, tol=1e-3, max_iter=100).high
    return probability


def require_margin(records: Records) -> Floats:
    """Return the recorded margins (E, N).

    Raises:
        InputError: The run has none.
    """
    if records.margin is None:
        raise InputError(f"{records.run} has no recorded margins: it comes from an older version, train it anew")
    return records.margin
