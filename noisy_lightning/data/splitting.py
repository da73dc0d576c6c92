"""Which part of a training set is trained on, and which is validated on."""

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.data.noise.sampling import choose_exactly
from noisy_lightning.data.selection import Selection
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError

Validation = Literal["given", "trusted", "none"]


class Split(NamedTuple):
    """Positions in the training set, each ascending; a sample in none of the parts is not used."""

    train: Tensor
    """(n,) int64: trained on."""
    val: Tensor
    """(m,) int64: validated on."""
    candidates: Tensor | None
    """(k,) int64: what a selection calls candidates; None without a selection."""
    rejected: Tensor | None
    """(l,) int64: what it neither selects nor calls a candidate; None without a selection."""


class _Kept(NamedTuple):
    """What is not trained on, and why."""

    validate: Tensor
    """(N,) bool: validated on."""
    held_out: Tensor
    """(N,) bool: neither trained nor validated on."""
    cause: str
    """The key of the configuration that decides on it, for errors."""


def validates(validation: Validation, val_fraction: float) -> bool:
    """Return whether there is to be a validation part."""
    return validation == "trusted" or (validation == "given" and val_fraction > 0)


def split(
    source: Source,
    labels: Tensor,
    validation: Validation,
    val_fraction: float,
    selection: Selection | None,
    generator: torch.Generator,
    dataset: str,
) -> Split:
    """Split a training set; what the data set keeps for validation is never trained on.

    Args:
        source: The training set.
        labels: (N,) int64 given labels.
        validation: What to validate on: `given`, what the data set keeps for it, or else a share of each given class;
            `trusted`, the samples whose labels the data set says are right; `none`, nothing.
        val_fraction: That share, in [0, 1).
        selection: What to train on, and perhaps what to validate on; None: whatever is not validated on is trained on.
        generator: CPU generator; gives one float64 uniform per sample where the validation part is drawn.
        dataset: Name of the data set, for errors.

    Raises:
        InputError: No sample is trusted, or a part that there must be is empty.
    """
    wanted = validates(validation, val_fraction)
    if selection is not None and selection.validate is not None:
        # The file says all: what else is kept for validation may be trained on.
        nothing = torch.zeros_like(selection.validate)
        kept = _Kept(selection.validate & wanted, nothing, f"data.selection {selection.path}")
    else:
        kept = _kept(source, labels, validation, val_fraction, generator, dataset)
    usable = torch.ones_like(kept.validate) if source.broken is None else ~source.broken
    is_val, is_train = kept.validate & usable, ~(kept.validate | kept.held_out) & usable
    if wanted and not is_val.any():
        raise InputError(f"{kept.cause} leaves no sample to validate on; data.validation none asks for none")
    candidates, rejected, cause = None, None, kept.cause
    if selection is not None:
        candidates, cause = _positions(is_train & selection.candidate), f"data.selection {selection.path}"
        rejected = _positions(is_train & ~selection.select & ~selection.candidate)
        is_train = is_train & selection.select
    if not is_train.any():
        raise InputError(f"{cause} leaves no sample to train on")
    return Split(_positions(is_train), _positions(is_val), candidates, rejected)


def union(one: Tensor, other: Tensor) -> Tensor:
    """Return the positions that are in either of two, ascending.

    Args:
        one: (n,) int64.
        other: (m,) int64.
    """
    return torch.from_numpy(np.union1d(one.numpy(), other.numpy()))


def _kept(
    source: Source,
    labels: Tensor,
    validation: Validation,
    val_fraction: float,
    generator: torch.Generator,
    dataset: str,
) -> _Kept:
    """Choose what to validate on without the help of a selection."""
    nothing, cause = torch.zeros_like(labels, dtype=torch.bool), f"data.validation {validation}"
    held_out = nothing if source.validation is None else source.validation
    if validation == "none":
        return _Kept(nothing, held_out, cause)
    if validation == "trusted":
        if source.trusted is None or not source.trusted.any():
            raise InputError(f"data.validation: {dataset} has no samples marked as trusted here")
        return _Kept(source.trusted, held_out, cause)
    if source.validation is not None:
        return _Kept(source.validation, nothing, cause)
    # The same fraction of every given class.
    drawn = choose_exactly(labels, val_fraction, True, generator)
    return _Kept(drawn, nothing, f"data.val_fraction {val_fraction}")


def _positions(mask: Tensor) -> Tensor:
    return mask.nonzero().squeeze(1)
