"""What answers of a classifier are worth, class by class, and how far their probabilities can be trusted."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.runs.measures import Bools, Floats, Ints

_Shares = NDArray[np.float64]
_BINS = 15  # as Guo et al. (2017) have


class ClassScores(NamedTuple):
    """What is known of each of K classes."""

    count: Ints  # type: ignore[assignment]  # hides tuple.count
    """(K,) images of the class."""
    predicted: Ints
    """(K,) images that were taken for it."""
    precision: _Shares
    """(K,) in [0, 1]: how many of the latter are of the class; NaN where there are none."""
    recall: _Shares
    """(K,) in [0, 1]: how many of its images were taken for it; NaN where it has none."""
    f1: _Shares
    """(K,) in [0, 1]: the harmonic mean of both; NaN where the class neither has images nor was predicted."""


class Calibration(NamedTuple):
    """How often predictions are right that a network is so sure of, in M bins of equal width."""

    edges: _Shares
    """(M + 1,) ascending from 0 to 1; a bin holds its upper edge."""
    count: Ints  # type: ignore[assignment]  # hides tuple.count
    """(M,) predictions whose probability lies in the bin."""
    confidence: _Shares
    """(M,) in [0, 1]: their mean probability; NaN without predictions."""
    accuracy: _Shares
    """(M,) in [0, 1]: how many of them are right; NaN without predictions."""
    error: float
    """The expected calibration error, in [0, 1]: the mean over all predictions of |accuracy − confidence|."""


def confusion_matrix(labels: Ints, predicted: Ints, num_classes: int) -> Ints:
    """Return how many images of each class were taken for which: (K, K), rows over true classes.

    Args:
        labels: (M,) true labels in [0, K).
        predicted: (M,) predicted ones.
        num_classes: K.
    """
    return np.bincount(labels * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_scores(confusion: Ints) -> ClassScores:
    """Return precision, recall and F1 of each class.

    Args:
        confusion: (K, K) as `confusion_matrix` returns it.
    """
    right, count, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN
        return ClassScores(count, predicted, right / predicted, right / count, 2 * right / (count + predicted))


def calibration(probability: Floats, right: Bools, bins: int = _BINS) -> Calibration:
    """Return how often predictions are right that a network is so sure of.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equations 2 to 5.

    Args:
        probability: (M,) of the predicted class, in [0, 1]; a NaN among them makes the error NaN.
        right: (M,) whether it is the true one.
        bins: How many, >= 1.
    """
    place = (np.ceil(np.nan_to_num(probability) * bins).astype(np.int64) - 1).clip(0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, values, minlength=bins) for values in (probability, right))
    with np.errstate(invalid="ignore"):
        confidence, accuracy = (total / count for total in sums)
    gaps = np.abs(accuracy - confidence)[count > 0]
    error = float(np.average(gaps, weights=count[count > 0])) if len(gaps) else float("nan")
    return Calibration(np.linspace(0, 1, bins + 1), count, confidence, accuracy, error)
