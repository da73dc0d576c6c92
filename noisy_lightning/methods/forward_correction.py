"""Forward correction: Patrini, Rozza, Menon, Nock and Qu, CVPR 2017."""

from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.transition_estimate import TransitionEstimate
from noisy_lightning.types import Step

_LEAST = 1e-7


@final
class ForwardCorrection(Method):
    """One network whose probabilities are passed through the noise before they are compared with the given labels.

    The loss of a sample is that of q = Tᵀp, where T[i, j] = P(given = j | true = i): for cross-entropy
    −log Σ_i p_i T[i, ỹ]. A network that fits the noisy labels by q fits the true ones by p. Probabilities p are clamped
    to [1e-7, 1 − 1e-7], as in the authors' code, and q from below to 1e-7; q is then divided by its sum.

    T is estimated from a network that was trained on the uncorrected loss for `warm_up` epochs: its row i is what this
    says of the sample that it is surest to be of class i, see `percentile`. A class that no training sample is labelled
    as keeps the identity's row, and where the network's outputs are NaN, T is the identity: both with a warning. T is
    to be found in `result.json`, and as a picture in TensorBoard.

    Recorded are the uncorrected losses, for comparison with other methods.

    Deviations: the authors train twice, for 120 epochs each, and take from either training the epoch with the least
    loss on noisy validation labels. Here one fit of `max_epochs` holds both trainings, of which the first ends with its
    last epoch. A learning rate that falls over the whole fit is low by then: the scheduler CosineAnnealingWarmRestarts
    with T_0 of `warm_up` lets both begin alike. The second training has the same initial weights as the first, and
    begins with the momentum that the optimizer is left with.

    Args:
        problem: The task; any loss, cross-entropy in the paper. T can be estimated only with one that is least at the
            true probabilities, as cross-entropy is.
        matrix: T as K rows of K probabilities, or a file of them: `.csv` (comma-separated, no header), `.json` or
            `.npy`. Trains on the corrected loss from the start, and counts as an oracle. `estimate`: estimated.
        warm_up: Epochs >= 1 before T is estimated; null: half of them all, as in the paper. Not used with a given T.
        percentile: In (0, 100]: the sample for row i has the highest p_i below this percentile of all p_i. The paper
            has 97, but 100, the highest of all, for CIFAR-100: with many classes 3 % of the samples hold a class.
        restart: Whether the network starts again from its initial weights once T is known, as in the paper. Keeps a
            copy of them, in checkpoints too. Otherwise it goes on with what it has learned.
        erase: Whether samples above the percentile of p_i read p_i = 0 in later rows, as happens in the authors' code,
            seemingly by mistake. It matters where one sample stands high for two classes.

    Raises:
        InputError: The matrix is not one of K classes.
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        problem: Problem,
        matrix: Literal["estimate"] | list[list[float]] | Path = "estimate",
        warm_up: int | None = None,
        percentile: float = 97.0,
        restart: bool = True,
        erase: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = problem.make_backbone()
        self.loss = problem.loss
        self.noise = TransitionEstimate(self.backbone, problem.num_classes, matrix, warm_up, percentile, restart, erase)

    @property
    def oracle(self) -> bool:
        """Whether it was given the matrix."""
        return self.noise.given

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W): of the true class."""
        logits: Tensor = self.backbone(image)
        return logits

    def transition(self) -> Tensor | None:
        """Return the matrix (K, K), None before it is known."""
        return self.noise.transition()

    def scalars(self) -> dict[str, Tensor]:
        """Return `noise_rate`, the share of wrong labels by the matrix if all classes are equally frequent."""
        return self.noise.scalars()

    def on_epoch_start(self, context: EpochContext) -> None:
        """Estimate the matrix when the warm-up is over."""
        self.noise.update(context, self.backbone)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the corrected losses, in the warm-up the uncorrected ones."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        corrected = self.loss(forward_corrected(logits, self.noise.matrix), label)
        return Step(batch_mean(torch.where(self.noise.known, corrected, losses)), losses, logits)


def forward_corrected(logits: Tensor, matrix: Tensor) -> Tensor:
    """Return logits (B, K) of the given label, from those (B, K) of the true one and the transition matrix (K, K)."""
    p = log_probabilities(logits).exp().clamp(_LEAST, 1 - _LEAST)
    with torch.autocast(logits.device.type, enabled=False):  # else the product would be in half precision
        q = p @ matrix.to(p.dtype)
    return q.clamp_min(_LEAST).log()
