"""Backward correction: Patrini, Rozza, Menon, Nock and Qu, CVPR 2017."""

import logging
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.all_labels import losses_of_all_labels
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.transition_estimate import TransitionEstimate
from noisy_lightning.types import Step

_log = logging.getLogger(__name__)

# Below this share of the largest singular value one counts as 0: a loss would be weighed a thousandfold.
_LEAST_SINGULAR_VALUE = 1e-3


@final
class BackwardCorrection(Method):
    """One network whose losses are a mix over all labels, such that noise leaves that of the true label on average.

    The loss of a sample is Σ_k T⁻¹[ỹ, k] · ℓ(k), where T[i, j] = P(given = j | true = i) and ℓ(k) is the loss for label
    k. Its mean over the given labels that a true label can become is the loss for the true one, for any ℓ. It can be
    negative, and has no lower bound under cross-entropy: where T is far from the identity the training can diverge. The
    authors find `ForwardCorrection` to be better.

    T is estimated from a network that was trained on the uncorrected loss for `warm_up` epochs, as for
    `ForwardCorrection`, whose description holds here too, deviations included. Where T has no inverse, or one of its
    singular values is below a thousandth of the largest, its pseudo-inverse without those is taken, with a warning.

    Recorded are the uncorrected losses, for comparison with other methods. A step computes the loss for all K labels,
    so that memory grows with B·K².

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

    inverse: Tensor
    """(K, K), the identity until the matrix is known."""

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
        self.register_buffer("inverse", inverse_of(self.noise.matrix))

    @property
    def oracle(self) -> bool:
        """Whether it was given the matrix."""
        return self.noise.given

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
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
        if self.noise.update(context, self.backbone):
            self.inverse.copy_(inverse_of(self.noise.matrix))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the corrected losses, which are the uncorrected ones in the warm-up."""
        logits = self.backbone(image)
        every = losses_of_all_labels(self.loss, logits)
        losses = every.gather(1, label.unsqueeze(1)).squeeze(1)
        corrected = (self.inverse.to(every.dtype)[label] * every).sum(1)
        return Step(batch_mean(corrected), losses, logits)


def inverse_of(matrix: Tensor) -> Tensor:
    """Return the inverse of a matrix (K, K), or a pseudo-inverse with a warning where it has none to speak of."""
    exact = matrix.cpu().double()  # the same on all devices
    if torch.linalg.matrix_rank(exact, rtol=_LEAST_SINGULAR_VALUE) < len(exact):
        _log.warning("the transition matrix is (nearly) singular: a pseudo-inverse corrects the losses")
    inverse: Tensor = torch.linalg.pinv(exact, rtol=_LEAST_SINGULAR_VALUE)
    return inverse.to(matrix)
