"""What per-sample records say about a training run.

The training callback and every later reader share these, so that a curve seen live and a number computed afterward
agree.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.integer[Any]]
Bools = NDArray[np.bool_]

UNKNOWN, FOREIGN = -1, -2
"""What stands for a true label: nobody knows it; the image is of none of the classes, so that any label is wrong."""

OF_TRUE_LABELS = frozenset(
    {
        *("loss_clean", "loss_noisy", "auroc", "memorised", "corrected", "neither", "acc_true", "label_precision"),
        *("label_recall", "transition_error"),
    }
)
"""What cannot be measured without true labels: the last part of the names of logged values."""


class EpochRecord(NamedTuple):
    """What one epoch leaves of its N samples, in the order of the original training set."""

    loss: Floats
    """(N,) loss as the sample met it during the epoch; NaN where it was not seen."""
    confidence: Floats
    """(N,) softmax output for the given label, in [0, 1]; NaN where not seen."""
    prediction: Ints
    """(N,) predicted class; -1 exactly where not seen."""
    kept: Floats | None = None
    """(N,) how far the method let the sample take part, in [0, 1]; NaN where not seen; None: not recorded."""
    labels: Ints | None = None
    """(N,) given labels in this epoch, where labels are drawn anew; None: the run's own."""
    margin: Floats | None = None
    """(N,) logit of the given label minus the largest other one; NaN where not seen; None: not recorded."""


def measure(record: EpochRecord, labels: Ints, true_labels: Ints) -> dict[str, float]:
    """Return what one epoch's record says about training; what cannot be known is absent, never NaN.

    Samples that were not seen do not count. Mean losses are taken over the finite ones.

    Args:
        record: rows (N,).
        labels: (N,) given labels, unless the record has its own.
        true_labels: (N,) true labels, -1 where unknown, -2 where the image is of none of the classes: noisy, too.

    Returns:
        `loss`, `loss_clean`, `loss_noisy`: mean loss of all, of clean and of noisy samples.
        `auroc`: of the loss as noise detector, in [0, 1]; 0.5 is chance.
        `memorised`, `corrected`, `neither`: fractions of the noisy samples predicted as the given label, as the
        true one, as another.
        `acc`, `acc_true`: accuracy on given and on true labels, the latter of samples that have one.
        `kept`: mean participation; `label_precision`, `label_recall`: the clean share of what was kept, the kept
        share of what is clean.
    """
    loss, prediction, kept = record.loss, record.prediction, record.kept
    labels = labels if record.labels is None else record.labels
    seen = prediction >= 0
    known = seen & (true_labels != UNKNOWN)
    clean, noisy = known & (true_labels == labels), known & (true_labels != labels)
    memorised, corrected = prediction == labels, prediction == true_labels
    means = {
        "loss": _mean(loss, seen & np.isfinite(loss)),
        "loss_clean": _mean(loss, clean & np.isfinite(loss)),
        "loss_noisy": _mean(loss, noisy & np.isfinite(loss)),
        "auroc": noise_auroc(loss[known], noisy[known]),
        "memorised": _mean(memorised, noisy),
        "corrected": _mean(corrected, noisy),
        "neither": _mean(~memorised & ~corrected, noisy),
        "acc": _mean(memorised, seen),
        "acc_true": _mean(corrected, known & (true_labels != FOREIGN)),
    }
    if kept is not None:
        means["kept"] = _mean(kept, seen)
        means["label_recall"] = _mean(kept, clean)
        weight = float(kept[known].sum(dtype=np.float64))
        means["label_precision"] = float(kept[clean].sum(dtype=np.float64)) / weight if weight else None
    return {name: value for name, value in means.items() if value is not None}


def noise_auroc(loss: Floats, is_noisy: Bools) -> float | None:
    """Return the probability that a noisy sample's loss exceeds a clean one's, ties counted half.

    Args:
        loss: (n,) an infinite loss ranks highest; NaN does not count.
        is_noisy: (n,).

    Returns:
        The area under the ROC curve in [0, 1], or None without both clean and noisy samples.
    """
    ranked = ~np.isnan(loss)
    if not is_noisy[ranked].any() or is_noisy[ranked].all():
        return None
    score = np.nan_to_num(loss[ranked])  # ±inf become the largest finite numbers: the same ranks
    order = np.argsort(-score)
    ranking = score[order]
    last_of_ties = np.append(np.flatnonzero(ranking[1:] != ranking[:-1]), len(score) - 1)
    noisy = np.append(0, np.cumsum(is_noisy[ranked][order])[last_of_ties])
    clean = np.append(0, last_of_ties + 1) - noisy
    true_positive, false_positive = noisy / noisy[-1], clean / clean[-1]
    # scikit-learn's sum to the last bit, without the 0.7 s of its import in every run.
    return float((np.diff(false_positive) * (true_positive[1:] + true_positive[:-1]) / 2).sum())


def class_accuracy(prediction: Ints, reference: Ints, num_classes: int) -> Floats:
    """Return the accuracy (K,) in each class of the reference, NaN for a class of which no sample was seen.

    Args:
        prediction: (N,) predicted class, -1 where not seen.
        reference: (N,) labels to compare with, negative where there is none.
        num_classes: K.
    """
    counted = (prediction >= 0) & (reference >= 0)
    total = np.bincount(reference[counted], minlength=num_classes)
    right = np.bincount(reference[counted & (prediction == reference)], minlength=num_classes)
    accuracy = np.full(num_classes, np.nan, np.float32)
    np.divide(right, total, out=accuracy, where=total > 0, casting="same_kind")
    return accuracy


def _mean(values: Floats | Bools, where: Bools) -> float | None:
    return float(values[where].mean(dtype=np.float64)) if where.any() else None


def wrong_share(rate: float | None, known: int | None) -> str:
    """Return in words how many labels are wrong.

    Args:
        rate: The realized rate; None where it is unknown.
        known: Of how many labels the true ones are known, where not of all; None: of all.
    """
    if rate is None:
        return "an unknown share of labels wrong"
    of = "of labels wrong" if known is None else f"wrong of the {known:,} labels whose true one is known"
    return f"{100 * rate:.2f} % {of}"
