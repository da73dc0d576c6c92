"""Find label errors by confident learning, as the package cleanlab does: Northcutt, Jiang and Chuang, JAIR 2021."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.runs.measures import Bools, Ints
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns, likeliest_class, suggestions
from noisy_lightning.selectors.noisy_cross_validation import out_of_fold
from noisy_lightning.selectors.self_check import check_of_folds

Filter = Literal["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"]
Score = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy"]


@final
class ConfidentLearning(Selector):
    """Selects what cleanlab does not call a label issue, by held-out class probabilities that it is handed.

    The score is 1 − cleanlab's label quality; the noise rate is the share of issues that it counts. Needs cleanlab:
    `pip install 'noisy_lightning[clean]'`.

    Which rule finds issues best depends on who made the mistakes. F1 of finding wrong labels of CIFAR-10 in %, by
    cleanlab's rules from out-of-fold probabilities of a fine-tuned Swin-B and of a ResNet-18, which cleanlab's authors
    published (label-error-detection-benchmarks; the noise of people is that of CIFAR-10N):

    | wrong labels, network        | neq given | noise rate | by class | both | conf. learning |
    | ---------------------------- | --------: | ---------: | -------: | ---: | -------------: |
    | people, worst 40 %, Swin-B   |      95.3 |       92.4 |     93.8 | 91.3 |           89.2 |
    | the same, ResNet-18          |      88.4 |       84.9 |     87.4 | 83.4 |           77.4 |
    | people, 9 %, Swin-B          |      92.9 |       76.3 |     77.4 | 67.9 |           70.0 |
    | the same, ResNet-18          |      74.7 |       67.4 |     70.5 | 60.4 |           57.1 |
    | synthetic 20 %, Swin-B       |      97.5 |       98.7 |     98.0 | 98.7 |           98.1 |
    | the same, ResNet-18          |      86.4 |       94.2 |     90.9 | 94.5 |           90.5 |

    The columns are `predicted_neq_given`, `prune_by_noise_rate`, `prune_by_class`, `both`, `confident_learning`.
    People err where images are hard, and there a prediction against the label is the best sign. Synthetic noise spares
    no image and follows a matrix, which the other rules estimate: for such noise, as in most experiments, take
    `prune_by_noise_rate`, above all where the network is weak.

    Args:
        folds: k >= 2 of the cross-validation.
        best: Whether a fold predicts with the epoch of highest accuracy on its held-out given labels, not the last.
        epochs: Of each fold; None: as the configuration says.
        filter_by: Which of cleanlab's rules finds issues: by default, the held-out prediction is not the given label.
        score: Which of its measures ranks the labels.

    Raises:
        InputError: cleanlab is not installed.
        ValueError: A value is out of range.
    """

    score_meaning = "1 - cleanlab's label quality, by held-out probabilities"

    def __init__(
        self,
        folds: int = 5,
        best: bool = False,
        epochs: int | None = None,
        filter_by: Filter = "predicted_neq_given",
        score: Score = "self_confidence",
    ) -> None:
        check_range("folds", folds, "[2, inf)")
        check_range("epochs", 1 if epochs is None else epochs, "[1, inf)")
        self.folds, self.best, self.epochs, self.filter_by, self.score = folds, best, epochs, filter_by, score
        require_cleanlab()  # before hours of training

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Hand the held-out probabilities over."""
        _, get_label_quality_scores = require_cleanlab()
        probability, notes = out_of_fold(task, runs, self.folds, self.best, self.epochs)
        judged = task.judged
        labels, rows = task.labels[judged].astype(np.int64), probability[judged].astype(np.float64)
        rows /= rows.sum(1, keepdims=True)
        issues, score = np.zeros(len(judged), bool), np.full(len(judged), np.nan, np.float32)
        with heard() as said:
            issues[judged] = label_issues(labels, rows, self.filter_by)
            score[judged] = 1 - get_label_quality_scores(labels, rows, method=self.score)
        prediction = likeliest_class(probability)
        return Judgment(
            select=judged & ~issues,
            score=score,
            suggested=suggestions(prediction, task.labels),
            candidate=np.zeros_like(issues),
            noise_rate=float(issues[judged].mean()),
            assumption="cleanlab's count of label issues",
            prediction=prediction,
            check=check_of_folds(probability, task),
            warnings=[*notes, *(f"cleanlab: {one.message}" for one in said)],
        )


@contextmanager
def heard() -> Iterator[list[warnings.WarningMessage]]:
    """Yield a list in which cleanlab's warnings are kept, for whoever reads the outcome."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield said


def label_issues(labels: Ints, probability: NDArray[np.float64], filter_by: Filter) -> Bools:
    """Return which labels (n,) cleanlab calls issues, by held-out class probabilities (n, K).

    Args:
        labels: (n,) given labels.
        probability: (n, K).
        filter_by: Its rule.

    Raises:
        InputError: cleanlab is not installed.
    """
    find_label_issues, _ = require_cleanlab()
    issues: Bools = find_label_issues(labels, probability, filter_by=filter_by, n_jobs=1)
    return issues


def require_cleanlab() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return cleanlab's finder of issues and its score, which few installations have."""
    try:
        from cleanlab.filter import find_label_issues  # noqa: PLC0415
        from cleanlab.rank import get_label_quality_scores  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"selector: ConfidentLearning needs cleanlab ({error}): pip install 'noisy_lightning[clean]'"
        ) from error
    return find_label_issues, get_label_quality_scores
