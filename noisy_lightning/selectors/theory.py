"""What noisy cross-validation should measure by its theory, and what it did: Chen et al., ICML 2019, section 2."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.runs.measures import Bools, Ints

Matrix = NDArray[np.float64]


class CrossValidated(NamedTuple):
    """Three numbers of a cross-validation on noisy labels, each in [0, 1]; NaN where it is 0 / 0."""

    accuracy: float
    """A: share of held-out samples whose given label is predicted."""
    label_precision: float
    """LP: share of right labels among those predicted."""
    label_recall: float
    """LR: share of those predicted among the right labels."""


def theory_of(transition: Matrix, priors: NDArray[np.float64], confusion: Matrix | None = None) -> CrossValidated:
    """Return what follows for labels of a known transition matrix.

    Given a class i, prediction and given label are independent, the first by M, the second by T:

        A = Σ_i π_i Σ_j T_ij M_ij,  LP = Σ_i π_i T_ii M_ii / A,  LR = Σ_i π_i T_ii M_ii / Σ_i π_i T_ii.

    Args:
        transition: T (K, K), rows over true classes.
        priors: π (K,), the shares of true classes.
        confusion: M (K, K), P(prediction = j | true = i); None: T, as the theory has it of a network that has fitted
            the noisy labels.
    """
    confusion = transition if confusion is None else confusion
    both = transition * confusion
    accuracy = float(priors @ both.sum(1))
    right = float(priors @ both.diagonal())
    labels = float(priors @ transition.diagonal())
    return CrossValidated(accuracy, _ratio(right, accuracy), _ratio(right, labels))


def measured(prediction: Ints, labels: Ints, true_labels: Ints) -> CrossValidated:
    """Return what was measured on samples (N,) that were held out, -1 being the prediction of those that were not."""
    held_out = (prediction >= 0) & (true_labels >= 0)
    agree, right = (prediction == labels) & held_out, (labels == true_labels) & held_out
    both = float((agree & right).sum())
    return CrossValidated(_ratio(agree.sum(), held_out.sum()), _ratio(both, agree.sum()), _ratio(both, right.sum()))


def confusion_of(prediction: Ints, true_labels: Ints, num_classes: int) -> Matrix:
    """Return M (K, K), the shares of predictions by true class; the row of a class without samples is all zeros."""
    known = (prediction >= 0) & (true_labels >= 0)
    counts = np.zeros((num_classes, num_classes))
    np.add.at(counts, (true_labels[known], prediction[known]), 1)
    shares: Matrix = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return shares


def priors_of(true_labels: Ints, num_classes: int) -> NDArray[np.float64]:
    """Return the shares (K,) of true classes, of samples whose class is known."""
    counts = np.bincount(true_labels[true_labels >= 0], minlength=num_classes)
    shares: NDArray[np.float64] = counts / max(1, counts.sum())
    return shares


def quality(select: Bools, labels: Ints, true_labels: Ints) -> tuple[float, float]:
    """Return label precision and label recall of a selection (N,), of samples whose truth is known; NaN for 0 / 0."""
    known = true_labels != -1
    right = known & (labels == true_labels)
    both = float((select & right).sum())
    return _ratio(both, (select & known).sum()), _ratio(both, right.sum())


def _ratio(part: float, whole: float) -> float:
    return float(part) / float(whole) if whole else float("nan")
