"""What the selectors share that judge a label by the labels of images that look alike."""

from collections.abc import Sequence

import numpy as np

from noisy_lightning.data.audit.features import Features, Neighbors, unit_features
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import Floats, Ints
from noisy_lightning.selectors.base import Task

_FEWEST = 3  # a sample and two neighbors


def described(task: Task) -> Floats:
    """Return the features (N, D) of the samples to judge, as `unit_features` does.

    Raises:
        InputError: There are none, or they are not all finite, or there are fewer than three labels to judge.
    """
    return unit_features(check_described(task), task.judged)


def check_described(task: Task) -> Features:
    """Return the features (N, V, D) of a task.

    Raises:
        InputError: There are none, or there are fewer than three labels to judge.
    """
    if task.features is None:
        raise InputError(
            "selector: this one judges by features of the images, which this data set has not: set data to Embedded "
            "with this data set inside, which computes them by a pretrained network"
        )
    if task.judged.sum() < _FEWEST:
        raise InputError(
            f"selector: there are only {task.judged.sum()} labels to judge, too few to compare them to neighbors"
        )
    return task.features


def votes(neighbors: Neighbors, labels: Ints, num_classes: int, k: int) -> Floats:
    """Return what the k nearest neighbors (N,) say of each class (N, K): the sum of their cosines, those above zero.

    Args:
        neighbors: k of them at least.
        labels: (N,) given labels.
        num_classes: K.
        k: How many vote.
    """
    table = np.zeros((len(neighbors.positions), num_classes), np.float32)
    _add(table, neighbors, labels, range(k))
    return table


def best_k(neighbors: Neighbors, labels: Ints, num_classes: int, tried: Sequence[int]) -> int:
    """Return for which k the vote names the given label of the most samples; the smallest among equals.

    Args:
        neighbors: Of all samples, as many as the largest k.
        labels: (N,) given labels.
        num_classes: K.
        tried: Values of k, rising.
    """
    table = np.zeros((len(neighbors.positions), num_classes), np.float32)
    agreeing: list[int] = []
    for before, k in zip([0, *tried], tried, strict=False):
        _add(table, neighbors, labels, range(before, k))
        agreeing.append(int(((table.argmax(1) == labels) & table.any(1)).sum()))
    return tried[int(np.argmax(agreeing))]


def _add(table: Floats, neighbors: Neighbors, labels: Ints, places: Sequence[int]) -> None:
    """Add the votes of the neighbors at these places of the order."""
    rows = np.arange(len(table))
    for place in places:
        given = labels[neighbors.positions[:, place]]  # of no neighbor, -1: its vote is clipped to 0
        table[rows, given] += neighbors.similarity[:, place].clip(0)
