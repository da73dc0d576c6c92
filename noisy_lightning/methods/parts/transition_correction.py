"""A network whose loss is corrected by a transition matrix: Patrini, Rozza, Menon, Nock and Qu, CVPR 2017."""

from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.small_loss import mean_of_kept
from noisy_lightning.methods.parts.transition_estimate import Matrix, TransitionEstimate

_LEAST_PROBABILITY = 1e-7


def clipped_probabilities(logits: Tensor) -> Tensor:
    """Return the probabilities (B, K) of logits (B, K), clipped to [1e-7, 1 − 1e-7] as the authors' code does."""
    return log_probabilities(logits).exp().clamp(_LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)


def forward_corrected(logits: Tensor, matrix: Tensor) -> Tensor:
    """Return logits (B, K) of the given label, from those (B, K) of the true one and the transition matrix (K, K)."""
    return given_log_probabilities(clipped_probabilities(logits), matrix)


def given_log_probabilities(p: Tensor, matrix: Tensor) -> Tensor:
    """Return log Tᵀp (B, K), of at least 1e-7, from probabilities p (B, K) and the transition matrix T (K, K)."""
    with torch.autocast(p.device.type, enabled=False):  # else the product would be in half precision
        q = p @ matrix.to(p.dtype)
    return q.clamp_min(_LEAST_PROBABILITY).log()


def mean_once_known(noise: TransitionEstimate, corrected: Tensor, losses: Tensor, index: Tensor) -> Tensor:
    """Return this rank's part of the mean of corrected losses (B,); until the matrix is known, of what is not held out.

    Args:
        noise: The matrix.
        corrected: (B,) by the matrix.
        losses: (B,) that count until it is known.
        index: (B,) positions in the original training set.
    """
    learned = torch.where(noise.known, corrected, losses)
    if not noise.counted:
        return batch_mean(learned)
    least = ~noise.known * 1e-6  # 0 and not NaN where all is held out
    return mean_of_kept(learned, noise.known | ~noise.unseen.held_out[index], least)


class TransitionCorrection(OneNetwork):
    """A method that corrects the loss by T[i, j] = P(given = j | true = i), which is given or estimated.

    `on_epoch_start` of a subclass has to update `noise`; for the arguments see `ForwardCorrection`.
    """

    # Otherwise labels are given, to what is served, by another matrix than the one that is counted or known.
    samplings: ClassVar[Collection[str]] = ("natural",)
    mixable: ClassVar[bool] = True

    def __init__(
        self,
        problem: Problem,
        matrix: Matrix = "estimate",
        warm_up: int | None = None,
        percentile: float = 97.0,
        restart: bool = True,
        erase: bool = False,
    ) -> None:
        super().__init__(problem)
        classes, samples = problem.num_classes, problem.num_samples
        self.noise = TransitionEstimate(self.backbone, classes, samples, matrix, warm_up, percentile, restart, erase)

    @property
    def oracle(self) -> bool:
        """Whether the matrix was given."""
        return self.noise.given

    @property
    def depends_on_length(self) -> bool:
        """Whether the matrix is estimated after half of all epochs."""
        return not self.noise.given and self.noise.warm_up is None

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the matrix is estimated, if that does not follow from the length of the run."""
        return {} if self.noise.given or self.noise.warm_up is None else {"warm_up": self.noise.warm_up + 1}

    def mean(self, corrected: Tensor, losses: Tensor, index: Tensor) -> Tensor:
        """Return the mean of corrected losses (B,), in the warm-up of losses (B,) of what is not held out."""
        return mean_once_known(self.noise, corrected, losses, index)

    def transition(self) -> Tensor | None:
        """Return the matrix (K, K), None before it is known."""
        return self.noise.transition()

    def scalars(self) -> dict[str, Tensor]:
        """Return `noise_rate`, the share of wrong labels by the matrix if all classes are equally frequent."""
        return self.noise.scalars()
