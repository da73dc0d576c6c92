"""How often held-out predictions agree with labels of which a share is wrong, and the inverse: the formulas of INCV."""

import math
from typing import Literal

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range


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
