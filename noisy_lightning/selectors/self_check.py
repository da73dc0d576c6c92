"""What a selection rests on: how well its networks predict labels that they have not seen."""

from dataclasses import replace

import numpy as np
import torch

from noisy_lightning.methods.parts import held_out
from noisy_lightning.methods.parts.held_out import SelfCheck
from noisy_lightning.runs.measures import Floats
from noisy_lightning.selectors.base import Fold, Judgment, Task, TrainingRuns, check_fold, mask, random_parts


def check_of_folds(probability: Floats, task: Task) -> SelfCheck | None:
    """Return the check of out-of-fold class probabilities (N, K), NaN for samples left out; None: all are."""
    rows = task.judged & ~np.isnan(probability[:, 0])
    if not rows.any():
        return None
    labels = torch.from_numpy(task.labels[rows].astype(np.int64))
    return held_out.self_check(torch.from_numpy(probability[rows]), labels)


def checked_on_half(judgment: Judgment, task: Task, runs: TrainingRuns, epochs: int | None) -> Judgment:
    """Return a judgment with the check of a network that is trained on one half of the samples, drawn at random.

    Raises:
        InputError: A half has fewer samples than there are classes.
    """
    learned, rest = random_parts(np.flatnonzero(task.judged), task.generator(0), 2)
    count = len(task.labels)
    fold = Fold("one_half", mask(count, learned), mask(count, rest), epochs=epochs)
    notes = check_fold(task, fold)
    (probability,) = runs.probabilities([fold])
    check = check_of_folds(np.where(fold.held_out[:, None], probability, np.float32(np.nan)), task)
    return replace(judgment, check=check, warnings=[*judgment.warnings, *notes])


def advice(check: SelfCheck) -> list[str]:
    """Return what to do where the networks are too weak."""
    if not check.too_weak:
        return []
    return [
        "the network is too weak for a selection; use the ranking: held out, it predicts only "
        f"{_percent(check.accuracy_given)} of the given labels, which fits about {_percent(check.noise_rate)} wrong "
        f"labels and a network that is right on {_percent(check.accuracy_true)}. Look at the most suspicious labels, "
        "or leave out just these by --drop N; more epochs, more images or a pretrained network help"
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
