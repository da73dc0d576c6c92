"""What a selection rests on: how well its networks predict labels that they have not seen."""

from dataclasses import replace

import numpy as np
import torch

from noisy_lightning.methods.parts.noise_rate import rate_among_surest
from noisy_lightning.runs.measures import Floats
from noisy_lightning.selectors.base import (
    Fold,
    Judgment,
    SelfCheck,
    Task,
    TrainingRuns,
    check_fold,
    mask,
    predicted,
    random_parts,
)


def self_check(probability: Floats, task: Task) -> SelfCheck | None:
    """Return the check of out-of-fold class probabilities (N, K), NaN for samples left out; None: all are."""
    held_out = task.judged & ~np.isnan(probability[:, 0])
    if not held_out.any():
        return None
    rows, labels = probability[held_out], task.labels[held_out]
    rate = rate_among_surest(torch.from_numpy(rows), torch.from_numpy(labels.astype(np.int64)))
    agreement, chance = float((predicted(rows) == labels).mean()), rate / max(1, task.num_classes - 1)
    # Agreeing are right predictions of right labels, and wrong ones that happen to be the wrong label.
    accuracy = (agreement - chance) / (1 - rate - chance) if rate + chance < 1 else 0.0
    return SelfCheck(agreement, rate, min(1.0, max(0.0, accuracy)))


def checked_on_half(judgment: Judgment, task: Task, runs: TrainingRuns, epochs: int | None) -> Judgment:
    """Return a judgment with the check of a network that is trained on one half of the samples, drawn at random.

    Raises:
        InputError: A half has fewer samples than there are classes.
    """
    learned, held_out = random_parts(np.flatnonzero(task.judged), task.generator(0), 2)
    count = len(task.labels)
    fold = Fold("one_half", mask(count, learned), mask(count, held_out), epochs=epochs)
    notes = check_fold(task, fold)
    (probability,) = runs.probabilities([fold])
    check = self_check(np.where(fold.held_out[:, None], probability, np.float32(np.nan)), task)
    return replace(judgment, check=check, warnings=[*judgment.warnings, *notes])
