"""Trust the labels that networks predict without having seen them: Chen, Liao, Chen and Zhang, ICML 2019."""

from typing import final

import numpy as np

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.runs.measures import Floats
from noisy_lightning.selectors.base import (
    Fold,
    Judgment,
    Selector,
    Task,
    TrainingRuns,
    check_fold,
    likeliest_class,
    mask,
    of_given_label,
    random_parts,
    suggestions,
)
from noisy_lightning.selectors.noise_estimate import Inversion, estimated_rate, highest_rate, pattern_of
from noisy_lightning.selectors.self_check import check_of_folds


def out_of_fold(
    task: Task, runs: TrainingRuns, folds: int, best: bool = False, epochs: int | None = None
) -> tuple[Floats, list[str]]:
    """Return the class probabilities (N, K) of each sample by a network that was not trained on it, and warnings.

    Args:
        task: The labels.
        runs: What trains.
        folds: k >= 2 parts of about the same size, drawn at random; a network is trained on all but one.
        best: As in `Fold`.
        epochs: As in `Fold`.

    Raises:
        InputError: There are too few samples.
    """
    count, members = len(task.labels), np.flatnonzero(task.judged)
    if folds > len(members):
        raise InputError(f"selector.folds must be at most {len(members)}, the number of samples to judge, got {folds}")
    parts = random_parts(members, task.generator(0), folds)
    trained = [
        Fold(f"fold_{number + 1}", task.judged & ~mask(count, part), mask(count, part), best, epochs)
        for number, part in enumerate(parts)
    ]
    warnings = [warning for fold in trained for warning in check_fold(task, fold)]
    probability = np.full((count, task.num_classes), np.nan, np.float32)
    for part, predictions in zip(parts, runs.probabilities(trained), strict=True):
        probability[part] = predictions[part]
    return probability, warnings


@final
class NoisyCrossValidation(Selector):
    """Selects the samples whose given label is predicted by a network that was trained on the others.

    A network fitted to noisy labels makes on held-out samples the same mistakes as often as the labels have them,
    P(prediction = j | true = i) ≈ T[i, j]. From this follow the accuracy against given labels, and precision and recall
    of the selected labels, for any transition matrix (`theory_of`): the `Verify_Theory` of the authors, who use two
    halves and predict one of them; here both are predicted.

    The score is 1 − p(given label) of the held-out prediction.

    Args:
        folds: k >= 2; 2 in the paper.
        best: Whether a fold predicts with the epoch of highest accuracy on its held-out given labels; False, as the
            authors' check of their theory does, with the last one.
        epochs: Of each fold; None: as the configuration says.
        inversion: How the noise rate follows from the share of labels predicted: see `INCV`.

    Raises:
        InputError: The file of `inversion` cannot be read.
        ValueError: A value is out of range.
    """

    score_meaning = "1 - held-out probability of the given label"

    def __init__(
        self, folds: int = 2, best: bool = False, epochs: int | None = None, inversion: Inversion = "symmetric"
    ) -> None:
        check_range("folds", folds, "[2, inf)")
        check_range("epochs", 1 if epochs is None else epochs, "[1, inf)")
        self.folds, self.best, self.epochs, self.inversion = folds, best, epochs, inversion
        self._pattern = pattern_of(self.inversion)  # read before hours of training

    @property
    def oracle(self) -> bool:
        """Whether the pattern of the noise was given."""
        return self.inversion != "symmetric"

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Judge each label by the fold that holds it out."""
        highest_rate(task.num_classes, self._pattern)  # refuses a matrix of other classes before hours of training
        probability, warnings = out_of_fold(task, runs, self.folds, self.best, self.epochs)
        prediction = likeliest_class(probability)
        select = task.judged & (prediction == task.labels)
        agreement = float(select[task.judged].mean())
        estimate = estimated_rate(agreement, task.num_classes, self._pattern)
        return Judgment(
            select=select,
            score=1 - of_given_label(probability, task.labels),
            suggested=suggestions(prediction, task.labels),
            candidate=np.zeros_like(select),
            noise_rate=estimate.rate,
            assumption=estimate.assumption,
            prediction=prediction,
            check=check_of_folds(probability, task),
            warnings=[*warnings, *estimate.warnings],
        )
