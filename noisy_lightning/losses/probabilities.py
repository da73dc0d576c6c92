"""From logits and targets to probabilities: what nearly every loss begins with."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# PyTorch's default of -100 would let that label pass as a loss of 0; no real label can be this one.
NO_IGNORED_LABEL = -(2**31)


def log_probabilities(logits: Tensor) -> Tensor:
    """Return log p, the (B, K) log softmax, in float32 or better."""
    return torch.log_softmax(logits, 1, dtype=torch.promote_types(logits.dtype, torch.float32))


def complement(log_p: Tensor) -> Tensor:
    """Return 1 − p without the cancellation that would leave confident samples no gradient."""
    return -torch.expm1(log_p)


def floor(log_p: Tensor, min_probability: float) -> Tensor:
    """Clamp log p so that p is at least min_probability; classes under it get no gradient."""
    return log_p.clamp_min(math.log(min_probability)) if min_probability > 0 else log_p


def is_hard(logits: Tensor, target: Tensor) -> bool:
    """Distinguish class indices (B,) from class probabilities (B, K).

    Raises:
        ValueError: if target is neither.
    """
    if target.shape == logits.shape[:1]:
        return True
    if target.shape == logits.shape:
        return False
    raise ValueError(
        f"target must have shape (B,) or (B, K), got {tuple(target.shape)} for logits of {tuple(logits.shape)}"
    )


def require_hard(logits: Tensor, target: Tensor, reason: str) -> None:
    """Refuse class probabilities where a loss has no meaning for them.

    Raises:
        ValueError: with the reason, if target is not (B,) class indices.
    """
    if not is_hard(logits, target):
        raise ValueError(f"soft targets (B, K) are refused, class indices (B,) are expected: {reason}")


def label_out_of_range(label: Tensor, num_classes: int) -> ValueError:
    """Return the error for the first label outside [0, K).

    Losses look for it only after an operator has failed, so that a good step pays for no check and no host
    synchronization. On CUDA nothing fails in time to be caught: there the device's own assertion ends the run.
    """
    position = int(((label < 0) | (label >= num_classes)).nonzero()[0])
    return ValueError(f"label must be in [0, {num_classes}), got {int(label[position])} at position {position}")


def at_label(values: Tensor, label: Tensor) -> Tensor:
    """Pick from (B, K) values those of the (B,) labels.

    Raises:
        ValueError: on CPU, if a label lies outside [0, K).
    """
    try:
        # One kernel each way; gather takes three, for the extra dimension that it wants.
        return -F.nll_loss(values, label, reduction="none", ignore_index=NO_IGNORED_LABEL)
    except IndexError as error:
        raise label_out_of_range(label, values.shape[1]) from error


def expected(values: Tensor, target: Tensor) -> Tensor:
    """Average (B, K) values by class over the target: that of the label, or the mean under soft targets."""
    if is_hard(values, target):
        return at_label(values, target)
    return (values * target).sum(1)


def expected_loss(loss: Callable[[Tensor], Tensor], log_p: Tensor, target: Tensor) -> Tensor:
    """Average a loss of one class's log-probability over the target.

    Equal to `expected(loss(log_p), target)`, but hard labels are picked first, so that the loss is computed for
    one class and not for K.

    Args:
        loss: elementwise, from log p to the loss.
        log_p: (B, K) log-probabilities.
        target: (B,) class indices or (B, K) class probabilities.

    Returns:
        (B,) losses.
    """
    if is_hard(log_p, target):
        return loss(at_label(log_p, target))
    return (loss(log_p) * target).sum(1)
