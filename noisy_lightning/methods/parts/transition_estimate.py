"""The transition matrix that corrects a loss: given, counted, or estimated as in Patrini et al., CVPR 2017."""

import logging
import math
from pathlib import Path
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext
from noisy_lightning.methods.parts.consensus import DRAWN, MOST_CLASSES, consensus_transition
from noisy_lightning.methods.parts.features import LogitsAndFeatures
from noisy_lightning.methods.parts.held_out import HeldOutPredictions, surest_transition
from noisy_lightning.methods.parts.snapshot import Snapshot
from noisy_lightning.transition_matrix import checked_matrix, read_matrix

_log = logging.getLogger(__name__)

_FEWEST_NEIGHBORS = 3  # a sample and two others

Matrix = Literal["estimate", "anchor_points", "dual_t", "hoc"] | list[list[float]] | Path


@final
class TransitionEstimate(nn.Module):
    """T[i, j] = P(given = j | true = i): the identity until it is estimated, or from the start the given matrix.

    Args:
        network: The one that is trained.
        num_classes: K.
        num_samples: N.
        matrix: K rows of K probabilities, a file of them, `estimate`, by `surest_transition` from the predictions of
            a quarter of the samples, `anchor_points`, by `estimate_transition`, `dual_t`, by `dual_transition`, or
            `hoc`, by `consensus_transition` of the network's features.
        warm_up: Epochs >= 1 before it is estimated; None: half of all, rounded down, but at least 1.
        percentile: See `estimate_transition`.
        restart: Whether the network then goes back to the weights that it has now.
        erase: See `estimate_transition`.

    Raises:
        InputError: The matrix is not one of K classes.
        ValueError: Another value is out of range.
    """

    matrix: Tensor
    """(K, K)"""
    known: Tensor
    """(), bool: whether the matrix was given or estimated."""

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        num_samples: int,
        matrix: Matrix,
        warm_up: int | None,
        percentile: float,
        restart: bool,
        erase: bool,
    ) -> None:
        super().__init__()
        if warm_up is not None:
            check_range("warm_up", warm_up, "[1, inf)")
        check_range("percentile", percentile, "(0, 100]")
        rows = _given_rows(matrix, num_classes)
        if matrix == "hoc" and num_classes > MOST_CLASSES:
            raise ValueError(f"matrix hoc needs at most {MOST_CLASSES} classes, got {num_classes}")
        self.counted, self.given, self.kind = matrix == "estimate", rows is not None, matrix
        self.warm_up, self.percentile, self.erase = warm_up, percentile, erase
        self.register_buffer("matrix", torch.eye(num_classes) if rows is None else rows.float())
        self.register_buffer("known", torch.tensor(self.given))
        order = torch.randperm(num_samples, generator=torch.Generator().manual_seed(0))
        # Not to be learned from until the matrix is known.
        self.unseen = HeldOutPredictions((order < num_samples / 4) & self.counted, num_classes)
        self.initial = Snapshot(network) if restart and not self.given else None

    def update(self, context: EpochContext, network: nn.Module) -> bool:
        """Estimate the matrix and set the network back if the warm-up has just ended; return whether it has."""
        warm_up = max(1, context.max_epochs // 2) if self.warm_up is None else self.warm_up
        if self.counted:
            self.unseen.ask(context, network, warm_up)
        if self.given or context.epoch != warm_up:
            return False
        if self.counted:
            self.matrix.copy_(_counted(*self.unseen.average(context)))
        elif self.kind == "hoc":
            outputs = context.predict(LogitsAndFeatures(network))
            self.matrix.copy_(_agreeing(outputs[:, len(self.matrix) :], context.labels, len(self.matrix)))
        else:
            probability = context.predict(network).softmax(1)
            estimated = dual_transition if self.kind == "dual_t" else estimate_transition
            self.matrix.copy_(estimated(probability, context.labels, self.percentile, self.erase))
        self.known.fill_(True)
        if self.initial is not None:
            self.initial.restore(network)
        return True

    def transition(self) -> Tensor | None:
        """Return the matrix (K, K), None before it is known."""
        return self.matrix if self.known else None

    def scalars(self) -> dict[str, Tensor]:
        """Return `noise_rate`, the share of wrong labels by the matrix if all classes are equally frequent."""
        return {"noise_rate": 1 - self.matrix.diagonal().mean()} if self.known else {}


def _given_rows(matrix: Matrix, num_classes: int) -> Tensor | None:
    """Return a given matrix (K, K), None where it is to be estimated."""
    if matrix in get_args(get_args(Matrix)[0]):
        return None
    try:
        rows = checked_matrix(matrix if isinstance(matrix, list) else read_matrix(Path(matrix)))
        if len(rows) != num_classes:
            raise InputError(f"matrix must be {num_classes}×{num_classes} for this data set, got {len(rows)} rows")
    except InputError as error:
        raise InputError(f"model.method.{error}") from error
    return rows


def _counted(probability: Tensor, labels: Tensor) -> Tensor:
    """Return the transition matrix (K, K) counted among held-out predictions; warn where it is a guess."""
    if not len(labels) or not probability.isfinite().all():
        _log.warning("no finite outputs: the transition matrix cannot be estimated, no label is corrected")
        return torch.eye(probability.shape[1])
    matrix, shares = surest_transition(probability, labels)
    _warn_of_guesses((shares == 0).nonzero().flatten().tolist())
    return matrix


def _agreeing(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Return the transition matrix (K, K) by the labels of neighbors; warn where it is a guess.

    Args:
        features: (N, D); rows of samples not trained on do not count.
        labels: (N,) given labels, -1 for samples not trained on.
        num_classes: K.
    """
    features, given = features[labels >= 0], labels[labels >= 0]
    if len(given) < _FEWEST_NEIGHBORS or not features.isfinite().all():
        _log.warning("no finite features of three samples: the transition matrix cannot be estimated")
        return torch.eye(num_classes)
    if len(given) < DRAWN:
        _log.warning("the transition matrix rests on %d samples; HOC's authors want %d at least", len(given), DRAWN)
    matrix = consensus_transition(features, given, num_classes, torch.Generator().manual_seed(0))
    missing = (given.bincount(minlength=num_classes) == 0).nonzero().flatten()
    matrix[missing] = torch.eye(num_classes, dtype=matrix.dtype)[missing]
    _warn_of_guesses(missing.tolist())
    return matrix


def _warn_of_guesses(missing: list[int]) -> None:
    """Name the classes that no sample has as its given label."""
    if missing:
        classes = ", ".join(map(str, missing))
        _log.warning("no training sample has the given label %s: its row of the transition matrix is a guess", classes)


def estimate_transition(probability: Tensor, labels: Tensor, percentile: float, erase: bool = False) -> Tensor:
    """Return the transition matrix (K, K) that a network's probabilities suggest.

    Row i is what the network predicts for the sample that it is surest to be of class i. Such a sample, an "anchor
    point", has this true class, so that the probabilities of its given label are row i. Because the surest samples of
    all can be outliers, those with the highest p_i are passed over. A class that is predicted for no sample still has
    a surest one. Each row is divided by its sum. The row of a class that no sample has as its given label is that of
    the identity; where a probability is NaN, all rows are. Either comes with a warning.

    Args:
        probability: (N, K) of the whole original training set; rows of samples not trained on do not count.
        labels: (N,) given labels, -1 for samples not trained on.
        percentile: In (0, 100]: the anchor point of class i has the highest p_i below this percentile of all p_i,
            rounded up to the p_i of a sample. 100: the highest of all. Where none is below, as when all are equal, the
            first of the highest.
        erase: Whether p_i counts as 0, in the rows of the classes after i, for the samples passed over for class i.
    """
    trained = (labels >= 0).nonzero().flatten()
    probability, given = probability[trained], labels[trained]  # a copy, so that it can be written to
    matrix = torch.eye(probability.shape[1], dtype=probability.dtype)
    if probability.isnan().any():
        _log.warning("NaN outputs: the transition matrix cannot be estimated, no label is corrected")
        return matrix
    missing = []
    for k in range(len(matrix)):
        scores = probability[:, k]
        passed_over = scores >= _threshold(scores, percentile)
        anchor = scores.where(~passed_over, -1).argmax() if not passed_over.all() else scores.argmax()
        if erase:
            scores[passed_over] = 0  # in `probability`
        if not (given == k).any():
            missing.append(k)
        elif probability[anchor].any():
            matrix[k] = probability[anchor] / probability[anchor].sum()
    _warn_of_guesses(missing)
    return matrix


def dual_transition(probability: Tensor, labels: Tensor, percentile: float, erase: bool = False) -> Tensor:
    """Return the transition matrix (K, K) as the product of two that are easier to estimate: Dual-T.

    Yao, Liu, Han, Gong, Deng, Niu and Sugiyama (NeurIPS 2020) put the network's prediction l between the true class i
    and the given label j: T[i, j] = Σ_l A[i, l]·B[l, j]. A is `estimate_transition`'s, which is near the identity where
    the network has become sure of what it predicts; B[l, j] = #(predicted l, given j) / #(predicted l) is counted.

    Each row of A and of T is divided by its sum, in the authors' code neither. The row of B of a class that is never
    predicted is 0, and all rows are those of the identity if a probability is NaN, with the warning of
    `estimate_transition`.

    Args:
        probability: (N, K) as in `estimate_transition`.
        labels: (N,) given labels, -1 for samples not trained on.
        percentile: As there.
        erase: As there.
    """
    anchored = estimate_transition(probability, labels, percentile, erase)
    if probability[labels >= 0].isnan().any():
        return anchored
    num_classes = probability.shape[1]
    predicted, given = probability.argmax(1)[labels >= 0], labels[labels >= 0]
    counts = torch.bincount(num_classes * predicted + given, minlength=num_classes**2).to(anchored.dtype)
    counts = counts.view(num_classes, num_classes)
    product = anchored @ (counts / counts.sum(1, keepdim=True).clamp(min=1))
    total = product.sum(1, keepdim=True)
    return torch.where(total > 0, product / total, torch.eye(num_classes, dtype=product.dtype))


def _threshold(scores: Tensor, percentile: float) -> float:
    """Return the percentile of scores (n,), as numpy computes it with method="higher"; infinity for 100."""
    if percentile == 100:
        return math.inf
    place = math.ceil(percentile * (len(scores) - 1) / 100)
    return scores.kthvalue(place + 1).values.item()
