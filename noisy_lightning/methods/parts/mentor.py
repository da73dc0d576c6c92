"""The history of samples with verified labels in a data-driven MentorNet, and the network that learns from it."""

import logging
from typing import final

import torch
from torch import Tensor, nn

from noisy_lightning.methods.base import EpochContext
from noisy_lightning.methods.parts.mentor_network import MentorNetwork, teach
from noisy_lightning.methods.parts.trusted_labels import TrustedLabels

_log = logging.getLogger(__name__)

# Fewer right labels, or fewer wrong ones, teach nothing.
_FEWEST = 5


@final
class Mentor(nn.Module):
    """Writes down the losses of samples with verified labels, and learns from them what losses right labels have.

    No optimizer sees its weights, which never need a gradient.

    Args:
        trusted: The M verified labels.
        num_samples: N.
        warm_up: Percentage of training from which on it learns.
    """

    index: Tensor
    """(M,) positions in the original training set."""
    label: Tensor
    """(M,) verified labels."""
    row: Tensor
    """(N,) int64: row of a sample in the tables; -1: its label is not verified."""
    history: Tensor
    """(M, 100, 2) loss, and loss minus its moving average, by the percentage of training at the start of the epoch."""
    right: Tensor
    """(M, 100) bool: whether the given label was right then."""
    known: Tensor
    """(M, 100) bool: which part of the history has been written down."""
    percentage: Tensor
    """(), int64: percentage of training at the start of the current epoch."""
    lesson: Tensor
    """(), int64: last percentage that the mentor was taught about."""
    taught: Tensor
    """(), bool: whether the mentor was taught at all."""
    accuracy: Tensor
    """(), share in [0, 1] of the history that the mentor classifies correctly."""

    def __init__(self, trusted: TrustedLabels, num_samples: int, warm_up: int) -> None:
        super().__init__()
        self.warm_up = warm_up
        self.network = MentorNetwork().requires_grad_(False)
        size = len(trusted.index)
        row = torch.full((num_samples,), -1)
        row[trusted.index] = torch.arange(size)
        self.register_buffer("index", trusted.index)
        self.register_buffer("label", trusted.label)
        self.register_buffer("row", row)
        self.register_buffer("history", torch.zeros(size, 100, 2))
        self.register_buffer("right", torch.zeros(size, 100, dtype=torch.bool))
        self.register_buffer("known", torch.zeros(size, 100, dtype=torch.bool))
        self.register_buffer("percentage", torch.zeros((), dtype=torch.long))
        self.register_buffer("lesson", torch.zeros((), dtype=torch.long))
        self.register_buffer("taught", torch.zeros((), dtype=torch.bool))
        self.register_buffer("accuracy", torch.zeros(()))

    def start_epoch(self, context: EpochContext, seed: int) -> None:
        """Teach the network, if it is time and there is something to teach."""
        given = context.labels.to(self.index.device)[self.index]
        right = given == self.label
        counts = int(right.sum()), int((given >= 0).sum() - right.sum())
        if context.epoch == 0 and min(counts) < _FEWEST:
            _log.warning(
                "trusted: %d of the labels that are trained on are verified as right and %d as wrong; at least %d of "
                "each are needed: the curriculum stays predefined",
                *counts,
                _FEWEST,
            )
        percentage = 100 * context.epoch // context.max_epochs
        if percentage >= self.warm_up and min(counts) >= _FEWEST and self.known.any():
            rows, percentages = self.known.nonzero(as_tuple=True)
            features, known_right = self.history[rows, percentages], self.right[rows, percentages]
            self.accuracy.fill_(teach(self.network, features, percentages, known_right, seed + context.epoch))
            self.lesson.copy_(self.percentage)
            self.taught.fill_(True)
        self.percentage.fill_(percentage)

    def write_down(self, index: Tensor, label: Tensor, losses: Tensor, average: Tensor) -> None:
        """Write down the finite losses of those of the samples (B,) whose labels are verified.

        Args:
            index: (B,) positions in the original training set.
            label: (B,) given labels.
            losses: (B,).
            average: (), the moving average of losses.
        """
        rows = self.row[index]
        among = (rows >= 0) & losses.isfinite()
        rows = rows[among]
        self.history[rows, self.percentage] = _features(losses[among], average)
        self.right[rows, self.percentage] = label[among] == self.label[rows]
        self.known[rows, self.percentage] = True

    def weights(self, losses: Tensor, average: Tensor) -> Tensor:
        """Return how likely it is, (B,) in [0, 1], that samples with these losses (B,) have a right label."""
        weights: Tensor = self.network(_features(losses, average), self.lesson).sigmoid()
        return weights


def _features(losses: Tensor, average: Tensor) -> Tensor:
    return torch.stack([losses, losses - average], 1).float()
