"""Noise rate and transition matrix by the consensus of neighbors, without training: Zhu, Song and Liu, ICML 2021."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from noisy_lightning.data.audit.approximate import MANY
from noisy_lightning.data.audit.features import Neighbors, nearest_neighbors
from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.consensus import DRAWN, MOST_CLASSES, fit_consensus
from noisy_lightning.runs.measures import Floats, Ints
from noisy_lightning.selectors.base import Task, mask

ASSUMPTION = "HOC: a sample and its two nearest neighbors are of one class, and their labels err independently"


class Consensus(NamedTuple):
    """What the labels of neighbors say of K classes."""

    rate: float
    """Share of wrong labels, in [0, 1]."""
    transition: NDArray[np.float64]
    """T (K, K), T[i, j] = P(given = j | true = i)."""
    priors: NDArray[np.float64]
    """P (K,), the shares of true classes."""
    warnings: list[str]
    """Why not to rely on it."""

    def share_right(self, labels: Ints) -> NDArray[np.float64]:
        """Return P(true = j | given = j) = T[j, j]·P[j] / P̃[j], (K,) in [0, 1], P̃ being the shares of labels (n,).

        It is 1 for a class that is never given.
        """
        given = np.bincount(labels, minlength=len(self.priors)) / max(1, len(labels))
        right = self.transition.diagonal() * self.priors
        known: NDArray[np.float64] = np.divide(right, given, out=np.ones_like(right), where=given > 0)
        return known.clip(0, 1)


def label_triples(labels: Ints, samples: Ints, neighbors: Neighbors) -> Ints:
    """Return the given labels (m, 3) of samples and their two nearest neighbors; samples without two are left out.

    Args:
        labels: (N,) given labels.
        samples: (n,) places among the N.
        neighbors: Of these samples, two at least.
    """
    nearest = neighbors.positions[:, :2]
    both = (nearest >= 0).all(1)
    return np.column_stack([labels[samples[both]], labels[nearest[both]]])


def consensus(triples: Ints, num_classes: int, generator: np.random.Generator) -> Consensus:
    """Return the transition matrix and the class shares under which labels of neighbors agree as often as they do.

    Where a sample and its two nearest neighbors are of one true class (they are "clusterable") and each label is wrong
    independently of the two others, the shares of labels, pairs and triples of labels (HOC: higher-order consensuses)
    are

        c₁[a] = Σᵢ Pᵢ Tᵢₐ,  c₂[a, b] = Σᵢ Pᵢ Tᵢₐ Tᵢᵦ,  c₃[a, b, c] = Σᵢ Pᵢ Tᵢₐ Tᵢᵦ Tᵢ꜀,

    which determine T and P where right labels outnumber each kind of wrong ones. As published, T is the softmax of
    rows that start at 5·I − 1, P that of numbers that start at 1/K + U(0, 0.1), and Adam minimizes the sum of the three
    Frobenius norms of what is not explained, in 399 steps at 0.1 and 19 at 0.01; the last T counts. These are
    SimiFeat's 400 and 20, whose first moves nothing; HOC's own code has 1,500.

    Deviations: the authors draw 15,000 samples several times, seek neighbors within each drawing and average the
    counts. Here neighbors are sought among all samples, or 200,000, so that they are nearer and more often of one
    class, and each sample counts once. With less than 15,000 samples the authors' code stops; here it warns.

    Where neighbors are of different classes, because classes look alike or the features are weak, this passes for
    noise: the rate is too high. Where neighbors share a mistake, such as near duplicates that one person labeled, it
    is too low.

    Args:
        triples: (n, 3) given labels in [0, K) of samples and their two nearest neighbors.
        num_classes: K in [2, 128].
        generator: Of the start of P.

    Raises:
        InputError: There are too many classes, or no sample has two neighbors.
    """
    if num_classes > MOST_CLASSES:
        raise InputError(
            f"selector: the consensus of neighbors (HOC) can be fitted to {MOST_CLASSES} classes at most, not to "
            f"{num_classes}"
        )
    if not len(triples):
        raise InputError("selector: no sample has two neighbors, so their labels cannot be compared")
    start = 1 / num_classes + generator.uniform(0, 0.1, num_classes)
    fitted = fit_consensus(torch.from_numpy(triples), num_classes, torch.tensor(start, dtype=torch.float32))
    transition, priors = (values.numpy() for values in fitted)
    return Consensus(float(1 - priors @ transition.diagonal()), transition, priors, _warnings(len(triples)))


def _warnings(count: int) -> list[str]:
    if count >= DRAWN:
        return []
    return [f"the noise rate rests on {count:,} samples and their neighbors; HOC's authors want {DRAWN:,} at least"]


def consensus_of_some(task: Task, unit: Floats) -> tuple[Consensus | None, list[str]]:
    """Return the estimate by 15,000 of the judged samples at most, None where there can be none, and warnings.

    Of more than 200,000 samples, neighbors are sought among as many, drawn at random: a million would take minutes.

    Args:
        task: The labels.
        unit: (N, D) features of length one.
    """
    order = task.generator(1).permutation(np.flatnonzero(task.judged))
    drawn, among = order[:DRAWN], mask(len(unit), order[:MANY])
    return consensus_of(task, drawn, nearest_neighbors(unit, among, 2, task.groups, drawn))


def consensus_of(task: Task, samples: Ints, neighbors: Neighbors) -> tuple[Consensus | None, list[str]]:
    """Return the estimate for a task, None where there are too many classes or too few neighbors, and warnings.

    Args:
        task: The labels.
        samples: (n,) places among the N.
        neighbors: Of these samples, two at least.
    """
    try:
        estimate = consensus(label_triples(task.labels, samples, neighbors), task.num_classes, task.generator(0))
    except InputError as error:
        return None, [f"the noise rate is not estimated: {str(error).removeprefix('selector: ')}"]
    return estimate, estimate.warnings
