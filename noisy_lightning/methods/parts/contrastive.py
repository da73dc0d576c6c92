"""Contrast of two views of each image with all others: SimCLR, Chen, Kornblith, Norouzi and Hinton, ICML 2020."""

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.methods.parts.ranks import total


def instance_contrast(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the mean over both views of `contrast_of`, SimCLR's loss, ().

    Args:
        first: (n, D) unit vectors, n >= 1, of all ranks.
        second: (n, D), the other view of each.
        temperature: T > 0.
    """
    return (contrast_of(first, second, temperature) + contrast_of(second, first, temperature)) / 2


def contrast_of(anchors: Tensor, others: Tensor, temperature: float) -> Tensor:
    """Return the mean over anchors of −log softmax(similarities / T) at the other view of the same image, ().

    An anchor is compared with the other view and with both views of all other images, but not with itself.

    Args:
        anchors: (n, D) unit vectors, n >= 1, of all ranks.
        others: (n, D), the other view of each.
        temperature: T > 0.
    """
    both = torch.cat([others, anchors])
    both = both.to(torch.promote_types(both.dtype, torch.float32))
    with torch.autocast(both.device.type, enabled=False):
        similarity = both[len(others) :] @ both.T / temperature
    place = torch.arange(len(anchors), device=both.device)
    itself = place[:, None] + len(others) == torch.arange(len(both), device=both.device)
    log_p = log_probabilities(similarity.masked_fill(itself, -torch.inf))
    return -log_p.gather(1, place[:, None]).mean()


def number_on_all_ranks(mask: Tensor) -> int:
    """Return how many of a mask (B,) are true, on all ranks together."""
    return int(total(mask.sum()))
