"""Iterative noisy cross-validation: Chen, Liao, Chen and Zhang, ICML 2019."""

from typing import Literal, final

import numpy as np

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.parts.held_out import SelfCheck
from noisy_lightning.runs.measures import Bools, Floats, Ints
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
from noisy_lightning.selectors.noise_estimate import Estimate, Inversion, estimated_rate, highest_rate, pattern_of
from noisy_lightning.selectors.self_check import check_of_folds


@final
class INCV(Selector):
    """Selects, iteration by iteration, the samples whose given label held-out predictions confirm.

    In each iteration the candidates, at first all samples, are cut at random into two halves. A network is trained on
    one half and all that is selected so far, from the same initial weights each time, and predicts the other half; then
    the halves change places. Where the prediction is the given label, the sample is selected, and of the others the
    `removal_ratio` times as many with the largest cross-entropy are removed for good. What is left are the candidates
    of the next iteration, and in the end those of `INCVCoTeaching`.

    The noise rate ε̂ follows from how often the first half of the first iteration agrees (`rate_from_agreement`). It
    decides on the removal ratio, min(2, ε̂ / (1 − ε̂)), and in which iterations a fold predicts with the epoch of
    highest accuracy on the held-out given labels instead of the last one: in 1 where ε̂ > 0.6 or the pattern is pair, in
    2 where ε̂ > 0.3, else in 4.

    The score, which the paper does not have, is 1 − p(given label), p being the mean over all networks that were not
    trained on the sample: those before it was selected, and those after it was removed, too, since they know the most.
    Of what is not selected, the class with the largest p is suggested.

    Deviations: the authors' code removes everything where it should remove nothing, a slice [-0:]; here nothing is
    removed then. What is removed is not selected, and a selected sample is not removed, in the same iteration. The
    iterations end where too few candidates are left to be halved. The learning rate, the optimizer and whatever else a
    training needs are the configuration's.

    Args:
        iterations: N >= 1; 4 in the paper.
        epochs: Of each training run; 50 in the paper; None: as the configuration says.
        removal_ratio: `estimate`, as above, or a number >= 0.
        pattern: `symmetric`, or `pair`, where nothing is removed: an input of the published algorithm, which knows it.
        inversion: How ε̂ follows from the agreement: `symmetric` as published, whatever the noise is (40 % of pair noise
            pass for 28.6 %), `pair`, or a file (.csv, .json, .npy) with the matrix Q (K, K) whose row i says what
            replaces labels of class i, with zeros on the diagonal but for classes that are never wrong, which have
            ones; None: that of `pattern`.

    Raises:
        InputError: The file of `inversion` cannot be read.
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        iterations: int = 4,
        epochs: int | None = None,
        removal_ratio: float | Literal["estimate"] = "estimate",
        pattern: Literal["symmetric", "pair"] = "symmetric",
        inversion: Inversion | None = None,
    ) -> None:
        check_range("iterations", iterations, "[1, inf)")
        check_range("epochs", 1 if epochs is None else epochs, "[1, inf)")
        if not isinstance(removal_ratio, str):
            check_range("removal_ratio", removal_ratio, "[0, inf)")
        self.iterations, self.epochs, self.removal_ratio, self.pattern = iterations, epochs, removal_ratio, pattern
        self.inversion: Inversion = pattern if inversion is None else inversion
        self._pattern = pattern_of(self.inversion)  # read before hours of training

    @property
    def oracle(self) -> bool:
        """Whether it was given another pattern than that which it assumes of all noise, or how much to remove."""
        given = self.pattern != "symmetric" or self.inversion != "symmetric"
        return given or not isinstance(self.removal_ratio, str)

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Iterate."""
        highest_rate(task.num_classes, self._pattern)  # refuses a matrix of other classes before hours of training
        count = len(task.labels)
        select, candidate = np.zeros(count, bool), task.judged.copy()
        total, times = np.zeros((count, task.num_classes), np.float32), np.zeros((count, 1), np.float32)
        estimate: Estimate | None = None
        check: SelfCheck | None = None
        selections: list[Bools] = []
        warnings: list[str] = []
        for iteration in range(1, self.iterations + 1):
            if selections and candidate.sum() < 2:
                warnings.append(f"iteration {iteration} has too few candidates left: the selection ends before it")
                break
            best = iteration <= (1 if estimate is None else self._best_until(estimate.rate))
            parts = random_parts(np.flatnonzero(candidate), task.generator(iteration), 2)
            folds = [
                Fold(
                    f"iteration_{iteration}_{name}", select | mask(count, learned), mask(count, part), best, self.epochs
                )
                for name, learned, part in zip(("first", "second"), parts, reversed(parts), strict=True)
            ]
            warnings += [warning for fold in folds for warning in check_fold(task, fold)]
            chosen, removed = np.zeros(count, bool), np.zeros(count, bool)
            for fold, predictions in zip(folds, runs.probabilities(folds), strict=True):
                unseen = task.judged & ~fold.train
                total[unseen] += predictions[unseen]
                times[unseen] += 1
                agreeing = fold.held_out & (likeliest_class(predictions) == task.labels)
                if estimate is None:
                    agreement = float(agreeing[fold.held_out].mean())
                    estimate = estimated_rate(agreement, task.num_classes, self._pattern)
                removed |= self._least_likely(fold.held_out, agreeing, predictions, task.labels, estimate.rate)
                chosen |= agreeing
            if check is None:  # the mean so far is that of the halves that have not seen a sample
                check = check_of_folds(_mean(total, times), task)
            select |= chosen
            candidate &= ~chosen
            if self.pattern == "symmetric":
                candidate &= ~removed
            selections.append(select.copy())
        assert estimate is not None
        probability = _mean(total, times)
        suggested = suggestions(likeliest_class(probability), task.labels)
        return Judgment(
            select=select,
            score=1 - of_given_label(probability, task.labels),
            suggested=np.where(select, -1, suggested),
            candidate=candidate,
            noise_rate=estimate.rate,
            assumption=estimate.assumption,
            iterations=selections,
            prediction=likeliest_class(probability),
            check=check,
            warnings=[*warnings, *estimate.warnings],
        )

    def _best_until(self, rate: float) -> int:
        """Return the last iteration whose folds predict with their best epoch."""
        if self.pattern == "pair" or rate > 0.6:
            return 1
        return 2 if rate > 0.3 else 4

    def _least_likely(self, held_out: Bools, agreeing: Bools, probability: Floats, labels: Ints, rate: float) -> Bools:
        """Return the held-out samples (N,) to remove: those whose given label is least likely."""
        ratio = min(2.0, rate / (1 - rate) if rate < 1 else 2.0)
        if not isinstance(self.removal_ratio, str):
            ratio = self.removal_ratio
        members = np.flatnonzero(held_out)
        number = min(int(ratio * agreeing.sum()), len(members))
        least = of_given_label(probability[members], labels[members]).argsort(kind="stable")[:number]
        return mask(len(labels), members[least]) & ~agreeing


def _mean(total: Floats, times: Floats) -> Floats:
    """Return sums (N, K) divided by how many they are of (N, 1), NaN where there is none."""
    mean: Floats = np.where(times > 0, total / np.maximum(times, 1), np.float32(np.nan))
    return mean
