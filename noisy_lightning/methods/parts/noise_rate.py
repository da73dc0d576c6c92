"""How many labels are wrong, estimated without knowing any true label."""

import math
from typing import Literal

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.parts.two_gaussians import fit_gaussians, scaled_to_unit

# The share of the predictions of a class that count as sure.
SUREST = 0.1


def high_loss_share(losses: Tensor) -> float | None:
    """Return the share of samples whose loss is high, as a guess at the share of wrong labels.

    Two Gaussians are fitted to the losses, as in DivideMix (Li et al., ICLR 2020) with its constants, and the share is
    the weight of the one with the higher mean. Networks learn right labels first, so that for some time wrong ones have
    higher losses.

    Args:
        losses: (n,) of samples, in any order and on any scale.

    Returns:
        The share in (0, 1); None where the losses do not fall into two groups: there are fewer than 10, they are all
        equal or not all finite, one Gaussian explains them as well (by the Bayesian information criterion), or the two
        means are closer than the root mean square of the standard deviations.
    """
    values = scaled_to_unit(losses.double().numpy())
    if values is None:
        return None
    two, column = fit_gaussians(values), values[:, None]
    apart = abs(two.means_[0, 0] - two.means_[1, 0])
    if apart < math.sqrt(two.covariances_.mean()) or two.bic(column) >= fit_gaussians(values, 1).bic(column):
        return None
    return float(two.weights_[two.means_[:, 0].argmax()])


def surest_transition(probability: Tensor, labels: Tensor, share: float = SUREST) -> tuple[Tensor, Tensor]:
    """Return how often the surest predictions of each class carry each given label, and how often each is predicted.

    A sample of which a network is sure, without having seen its label, most likely is of the class predicted, however
    weak the network is elsewhere. So its given labels are a row of the transition matrix: anchor points, as Patrini et
    al. (CVPR 2017) call them, but counted instead of read off the probabilities of a single one, which say how sure the
    network is and not how often it is right.

    Args:
        probability: (n, K) of classes, of networks that have not seen the labels.
        labels: (n,) given labels in [0, K).
        share: Of the samples predicted as a class, the surest of which count; in (0, 1].

    Returns:
        T (K, K), T[i, j] = P(given = j | true = i), float64: the identity's row for a class that is never predicted.
        And the share of samples (K,) that are predicted as each class.
    """
    confidence, predicted = probability.double().max(1)
    num_classes = probability.shape[1]
    matrix = torch.eye(num_classes, dtype=torch.float64)
    counts = torch.bincount(predicted, minlength=num_classes)
    for k in counts.nonzero().flatten().tolist():
        members = (predicted == k).nonzero().flatten()
        number = math.ceil(share * len(members))
        surest = members[confidence[members].argsort(descending=True, stable=True)[:number]]
        matrix[k] = torch.bincount(labels[surest], minlength=num_classes).double() / number
    return matrix, counts.double() / counts.sum()


def rate_among_surest(probability: Tensor, labels: Tensor, share: float = SUREST) -> float:
    """Return the share of wrong labels, in [0, 1], by the given labels of the surest predictions.

    Args:
        probability: (n, K) of classes, of networks that have not seen the labels; n >= 1.
        labels: (n,) given labels in [0, K).
        share: See `surest_transition`.
    """
    matrix, shares = surest_transition(probability, labels, share)
    return float(1 - shares @ matrix.diagonal())


def rate_from_agreement(agreement: float, num_classes: int, pattern: Literal["symmetric", "pair"] | Tensor) -> float:
    """Return the noise rate at which predictions agree with the given labels this often: the estimate of INCV.

    Chen, Liao, Chen and Zhang (ICML 2019): on held-out samples, a network fitted to noisy labels makes each mistake as
    often as the labels contain it, P(prediction = j | true = i) = T[i, j]. If classes are balanced, it then agrees with
    a share A = mean_i Σ_j T[i, j]² of the given labels. With T = (1 − ε)·I + ε·Q, where row i of Q gives the labels
    that replace class i, this is

        A = (1 − ε)² + 2·ε·(1 − ε)·q + ε²·κ,  q = mean_i Q[i, i],  κ = mean_i Σ_j Q[i, j]²,

    and the smaller solution ε is returned; q = 0, with κ = 1 / (K − 1) for symmetric and κ = 1 for pair noise. The
    pattern matters: the authors' code assumes symmetric noise always, and estimates 28.6 % where pair noise is 40 %. It
    also rounds up to a multiple of 0.001. A network that has not learned all it can agrees less often, and the estimate
    is too high.

    Args:
        agreement: A in [0, 1], between held-out predictions and their given labels.
        num_classes: K >= 2.
        pattern: `symmetric`: all other classes equally; `pair`: one other class; or Q, (K, K) >= 0 with rows that sum
            to 1, where Q[i, i] = 1 means that labels of class i are never wrong.

    Returns:
        ε in [0, 1]. Where no rate gives an A as low as this, the rate that comes nearest: (K − 1) / K for symmetric and
        0.5 for pair noise.

    Raises:
        ValueError: A value is out of range, or Q is not such a matrix.
    """
    check_range("agreement", agreement, "[0, 1]")
    check_range("num_classes", num_classes, "[2, inf)")
    if isinstance(pattern, Tensor):
        diagonal, squares = _diagonal_and_squares(pattern, num_classes)
    else:
        diagonal, squares = 0.0, {"symmetric": 1 / (num_classes - 1), "pair": 1.0}[pattern]
    # 1 − A = 2·b·ε − a·ε², which rises with ε up to ε = b / a.
    a, b = 1 - 2 * diagonal + squares, 1 - diagonal
    missing = min(1 - agreement, b * b / a)
    return min(1.0, missing / (b + math.sqrt(max(0.0, b * b - a * missing))))


def rate_of_agreeing(rate: float, num_classes: int, pattern: Literal["symmetric", "pair"]) -> float:
    """Return the share ε_S of wrong labels among those that held-out predictions agree with: 1 − precision in INCV.

    Args:
        rate: ε in [0, 1), of all labels.
        num_classes: K >= 2.
        pattern: `symmetric`: ε_S = ε² / (ε² + (K − 1)·(1 − ε)²); `pair`: with 1 for K − 1.

    Raises:
        ValueError: A value is out of range.
    """
    check_range("rate", rate, "[0, 1)")
    check_range("num_classes", num_classes, "[2, inf)")
    others = num_classes - 1 if pattern == "symmetric" else 1
    return rate**2 / (rate**2 + others * (1 - rate) ** 2)


def _diagonal_and_squares(pattern: Tensor, num_classes: int) -> tuple[float, float]:
    """Return q and κ of a pattern."""
    rows = pattern.double()
    if (
        rows.shape != (num_classes, num_classes)
        or (rows < 0).any()
        or not torch.allclose(rows.sum(1), rows.new_ones(1))
    ):
        raise ValueError(f"pattern must be {num_classes} rows of {num_classes} probabilities each, got {pattern}")
    diagonal, squares = rows.diagonal().mean().item(), rows.square().sum(1).mean().item()
    if diagonal == 1:
        raise ValueError("pattern must replace labels of at least one class")
    return diagonal, squares
