"""What predictions of labels that a network has not seen say of it, and of how many labels are wrong."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

# How many count as sure, as a share of a class. More, and the mistakes of a weak network pass for wrong labels; fewer,
# and with noise that depends on the image, only the easiest images count.
SUREST = 0.05
# Where a network is wrong less often than this, it is not weak, even if fewer labels are wrong.
_SOME_MISTAKES = 0.1


class SelfCheck(NamedTuple):
    """Held-out predictions against the given labels, and what together explains how often they agree."""

    accuracy_given: float
    """Share of the held-out given labels that are predicted, in [0, 1]."""
    noise_rate: float
    """Share of wrong labels, in [0, 1], by the predictions that are surest; see `surest_transition`."""
    accuracy_true: float
    """The accuracy on true labels, in [0, 1], that agrees with the given ones as often, at this noise rate."""

    @property
    def too_weak(self) -> bool:
        """Whether the network makes many mistakes, and no fewer than the labels: of what it doubts, much is right."""
        mistakes = 1 - self.accuracy_true
        return mistakes > _SOME_MISTAKES and mistakes >= self.noise_rate


def self_check(probability: Tensor, labels: Tensor) -> SelfCheck:
    """Return the check of class probabilities (n, K) by networks that have not seen the given labels (n,); n >= 1."""
    matrix, shares = surest_transition(probability, labels)
    rate = float(1 - shares @ matrix.diagonal())
    agreement, chance = float((probability.argmax(1) == labels).double().mean()), rate / max(1, len(shares) - 1)
    # Agreeing are right predictions of right labels, and wrong ones that happen to be the wrong label.
    accuracy = (agreement - chance) / (1 - rate - chance) if rate + chance < 1 else 0.0
    return SelfCheck(agreement, rate, min(1.0, max(0.0, accuracy)))


def surest_transition(probability: Tensor, labels: Tensor, share: float = SUREST) -> tuple[Tensor, Tensor]:
    """Return how often each label was given to the samples that networks are surest to be of a class.

    A sample of which a network is sure, without having seen its label, most likely is of that class, however weak the
    network is elsewhere. So its given labels are a row of the transition matrix: anchor points, as Patrini et al. (CVPR
    2017) call them, but counted instead of taken from the probabilities of a single one, which say how sure the network
    is and not how often it is right.

    Args:
        probability: (n, K) of classes, of networks that have not seen the labels.
        labels: (n,) given labels in [0, K).
        share: Of the number of samples with the given label i, as many samples count as the surest of class i; in
            (0, 1].

    Returns:
        T (K, K), T[i, j] = P(given = j | true = i), float64: the identity's row for a class that is never given. And
        the share of samples (K,) that each class is given to.
    """
    num_classes = probability.shape[1]
    matrix = torch.eye(num_classes, dtype=torch.float64)
    counts = torch.bincount(labels, minlength=num_classes)
    for k in counts.nonzero().flatten().tolist():
        number = math.ceil(share * int(counts[k]))
        surest = probability[:, k].argsort(descending=True, stable=True)[:number]
        matrix[k] = torch.bincount(labels[surest], minlength=num_classes).double() / number
    return matrix, counts.double() / counts.sum()
