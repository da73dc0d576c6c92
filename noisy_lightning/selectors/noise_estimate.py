"""The noise rate that follows from held-out predictions, with what it rests on."""

from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.noise_rate import rate_from_agreement
from noisy_lightning.transition_matrix import checked_matrix, read_matrix

Inversion = Literal["symmetric", "pair"] | Path


class Estimate(NamedTuple):
    """An estimated noise rate."""

    rate: float
    """In [0, 1]."""
    assumption: str
    """Under which it holds."""
    warnings: list[str]
    """Why not to rely on it."""


class Pattern(NamedTuple):
    """What replaces the labels that are wrong."""

    name: str
    value: Literal["symmetric", "pair"] | Tensor
    """As `rate_from_agreement` takes it."""

    @property
    def share_wrong(self) -> float:
        """The share of wrong labels where all are replaced: below 1 where a matrix keeps some, of balanced classes."""
        return 1.0 if isinstance(self.value, str) else 1 - float(self.value.diagonal().mean())


def pattern_of(inversion: Inversion) -> Pattern:
    """Return the pattern that is named or lies in a file.

    Raises:
        InputError: The file holds no matrix.
    """
    if isinstance(inversion, str):
        return Pattern(inversion, inversion)
    try:
        matrix = checked_matrix(read_matrix(inversion)).to(torch.float64)
    except InputError as error:
        raise InputError(f"selector.inversion: {error}") from error
    return Pattern(f"the pattern of {inversion}", matrix)


def highest_rate(num_classes: int, pattern: Pattern) -> float:
    """Return the share of wrong labels that no estimate exceeds, at which predictions agree least with given labels.

    Args:
        num_classes: K >= 2.
        pattern: Of the noise.

    Raises:
        InputError: The pattern is of another number of classes, or no label of it is ever wrong.
    """
    rows = num_classes if isinstance(pattern.value, str) else len(pattern.value)
    if rows != num_classes:
        raise InputError(
            f"selector.inversion: {pattern.name} must be {num_classes}×{num_classes}, a row for each class, got "
            f"{rows}×{rows}"
        )
    try:
        return rate_from_agreement(0.0, num_classes, pattern.value) * pattern.share_wrong
    except ValueError as error:
        raise InputError(f"selector.inversion: {error}") from error


def estimated_rate(agreement: float, num_classes: int, pattern: Pattern) -> Estimate:
    """Return the share of wrong labels at which held-out predictions agree with the given ones as often as this.

    Args:
        agreement: A in [0, 1], the share of held-out samples whose given label is predicted.
        num_classes: K >= 2.
        pattern: Of the noise.

    Raises:
        InputError: As `highest_rate`.
    """
    bound = highest_rate(num_classes, pattern)
    rate = rate_from_agreement(agreement, num_classes, pattern.value) * pattern.share_wrong
    assumption = f"{pattern.name} noise, balanced classes, predictions that are wrong as often as the labels"
    if rate < bound:
        return Estimate(rate, assumption, [])
    return Estimate(
        rate,
        assumption,
        [
            f"only {100 * agreement:.1f} % of the held-out labels are predicted, fewer than any rate of this noise "
            f"explains: the estimate is at its bound, {bound:.3f}, and the networks have probably learned too little"
        ],
    )
