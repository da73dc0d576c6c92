"""One label of an image from those of several annotators: majority vote, or Dawid and Skene, JRSS C 1979.

The second is expectation-maximization of a model in which an annotator gives an image of class j the label k with a
probability of its own, so that the word of a good annotator counts more, and known confusions are seen through.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.runs.files import as_cell

Rule = Literal["majority", "dawid_skene"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_TOLERANCE = 1e-6  # rise of the objective per annotation at which nothing changes any more
_ITERATIONS = 200
_DIGITS = 9  # that probabilities are compared by: sums in another order differ behind them


class Annotations(NamedTuple):
    """A annotations of N images by M annotators."""

    image: Ints
    """(A,) in [0, N); each image has at least one."""
    annotator: Ints
    """(A,) in [0, M); each annotator has at least one."""
    label: Ints
    """(A,) in [0, K)."""
    num_images: int
    annotators: Sequence[str]
    """M names, in alphabetical order."""
    num_classes: int

    def table(self) -> Floats:
        """Return the labels (N, M), NaN where there is none: as cleanlab's functions for several annotators take them.

        `cleanlab.multiannotator.get_label_quality_multiannotator(annotations.table(), probabilities)`, with predicted
        probabilities (N, K) of images that the network has not been trained on, is CROWDLAB (Goh et al., 2022).
        """
        labels = np.full((self.num_images, len(self.annotators)), np.nan)
        labels[self.image, self.annotator] = self.label
        return labels


class Model(NamedTuple):
    """What Dawid and Skene's model makes of annotations."""

    posterior: Floats
    """(N, K) probability of each class."""
    prior: Floats
    """(K,) share of each class."""
    accuracy: Floats
    """(M,) probability that the annotator labels an image rightly, over the classes by their shares."""
    objective: list[float]
    """What each iteration has made of the logarithm of the posterior density of the parameters; it never falls."""


class Consensus(NamedTuple):
    """One label per image, and how far the annotators agree on it."""

    rule: Rule
    annotations: Annotations
    labels: Tensor
    """(N,) int64 in [0, K)."""
    agreement: Tensor
    """(N,) float64 in (0, 1]: share of the annotations of an image that are its label."""
    counts: Tensor
    """(N,) int64: annotations of an image."""
    probability: Tensor
    """(N,) float64: that the label is right, by Dawid and Skene's model."""
    ties: int
    """Images on which the majority is not decided."""
    annotator_accuracy: Tensor
    """(M,) float64 as in `Model`."""


def consensus(annotations: Annotations, rule: Rule) -> Consensus:
    """Return one label per image; neither the order of annotations nor chance plays a part.

    Args:
        annotations: All of them.
        rule: `majority` takes the label that most annotators gave, of several such labels the one that is most probable
            by Dawid and Skene's model; `dawid_skene` takes the most probable label whatever the majority is. If it is
            undecided, too, the first class counts.
    """
    model = dawid_skene(annotations)
    votes = count_votes(annotations)
    probability = model.posterior.round(_DIGITS)
    leading = votes == votes.max(1, keepdims=True)
    labels = np.where(leading, probability, -1).argmax(1) if rule == "majority" else probability.argmax(1)
    every, counts = np.arange(annotations.num_images), votes.sum(1)
    return Consensus(
        rule,
        annotations,
        torch.from_numpy(labels),
        torch.from_numpy(votes[every, labels] / counts),
        torch.from_numpy(counts),
        torch.from_numpy(model.posterior[every, labels]),
        int((leading.sum(1) > 1).sum()),
        torch.from_numpy(model.accuracy),
    )


def count_votes(annotations: Annotations) -> Ints:
    """Return how many annotators gave an image each label: (N, K)."""
    shape = (annotations.num_images, annotations.num_classes)
    cells = np.bincount(annotations.image * shape[1] + annotations.label, minlength=shape[0] * shape[1])
    votes: Ints = cells.reshape(shape)
    return votes


def dawid_skene(annotations: Annotations) -> Model:
    """Fit Dawid and Skene's model by expectation-maximization.

    It begins with the shares of the votes as the probabilities of the classes. Shares of classes and each row of an
    annotator's confusion matrix have a pseudo-count of 1/K per cell, one in all, which the paper does not have: without
    it, who has never seen a class would exclude it for sure. So it is the posterior density under these Dirichlet
    priors that never falls, and not the likelihood. It ends once an iteration raises its logarithm by less than 1e-6
    per annotation, or after 200 iterations.

    Args:
        annotations: All of them.
    """
    from scipy import sparse  # noqa: PLC0415

    smoothing, classes = 1 / annotations.num_classes, annotations.num_classes
    # A column per annotator and label that occur together, for there can be many annotators and many classes.
    given, column = np.unique(annotations.annotator * classes + annotations.label, return_inverse=True)
    annotator = given // classes
    shape = (annotations.num_images, len(given))
    said: Any = sparse.csr_matrix((np.ones(len(column)), (annotations.image, column)), shape=shape)
    transposed: Any = said.T.tocsr()
    first = np.searchsorted(annotator, np.arange(len(annotations.annotators)))
    unseen = classes - np.bincount(annotator, minlength=len(annotations.annotators))
    votes = count_votes(annotations)
    posterior: Floats = votes / votes.sum(1, keepdims=True)
    objective: list[float] = []
    while True:
        prior = (posterior.sum(0) + smoothing) / (len(posterior) + 1)
        counts = transposed @ posterior  # (U, K) of annotator and label by class
        totals = np.add.reduceat(counts, first, axis=0)  # (M, K): `given` is sorted by annotator
        log_confusion = np.log(counts + smoothing) - np.log(totals + 1)[annotator]
        joint = np.log(prior) + said @ log_confusion
        largest = joint.max(1, keepdims=True)
        posterior = np.exp(joint - largest)
        sums = posterior.sum(1, keepdims=True)
        posterior /= sums
        log_unseen = unseen[:, None] * (np.log(smoothing) - np.log(totals + 1))
        penalty = np.log(prior).sum() + log_confusion.sum() + log_unseen.sum()
        objective.append(float((largest + np.log(sums)).sum() + smoothing * penalty))
        rise = objective[-1] - objective[-2] if len(objective) > 1 else np.inf
        if rise < _TOLERANCE * len(annotations.label) or len(objective) == _ITERATIONS:
            break
    right = smoothing / (totals + 1)
    right[annotator, given % classes] = np.exp(log_confusion[np.arange(len(given)), given % classes])
    return Model(posterior, prior, right @ prior, objective)


def image_table(found: Consensus, class_names: Sequence[str], paths: Sequence[str] | None) -> str:
    """Return the text of `consensus.csv`, a row per image.

    Args:
        found: Of the training images.
        class_names: K names, by label.
        paths: N paths of the images; None: they are not files.
    """
    columns = (found.labels.tolist(), found.counts.tolist(), found.agreement.tolist(), found.probability.tolist())
    rows: list[Sequence[object]] = [("index", "path", "label", "annotations", "agreement", "probability")]
    for index, (label, count, agreement, probability) in enumerate(zip(*columns, strict=True)):
        path, name = "" if paths is None else as_cell(paths[index]), as_cell(class_names[label])
        rows.append((index, path, name, count, f"{agreement:.4f}", f"{probability:.4f}"))
    return _as_csv(rows)


def annotator_table(found: Consensus) -> str:
    """Return the text of `annotators.csv`, a row per annotator.

    `agreement` is the share of the annotator's labels that are the consensus; `accuracy` the probability, by Dawid and
    Skene's model, that it labels an image rightly.
    """
    counts, agreed = annotator_agreement(found)
    columns = (counts.tolist(), agreed.tolist(), found.annotator_accuracy.tolist())
    rows: list[Sequence[object]] = [("annotator", "annotations", "agreement", "accuracy")]
    for name, count, agreement, accuracy in zip(found.annotations.annotators, *columns, strict=True):
        rows.append((as_cell(name), count, f"{agreement:.4f}", f"{accuracy:.4f}"))
    return _as_csv(rows)


def annotator_agreement(found: Consensus) -> tuple[Ints, Floats]:
    """Return how many labels each annotator gave, and which share of them is the consensus: (M,) both."""
    annotations, number = found.annotations, len(found.annotations.annotators)
    same = found.labels.numpy()[annotations.image] == annotations.label
    counts: Ints = np.bincount(annotations.annotator, minlength=number)
    return counts, np.bincount(annotations.annotator, weights=same, minlength=number) / counts


def _as_csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
