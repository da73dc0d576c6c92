"""Backward correction: Patrini, Rozza, Menon, Nock and Qu, CVPR 2017."""

import logging
from typing import final

import torch
from torch import Tensor

from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.all_labels import losses_of_all_labels
from noisy_lightning.methods.parts.transition_correction import TransitionCorrection, clipped_probabilities
from noisy_lightning.methods.parts.transition_estimate import Matrix
from noisy_lightning.types import Step

_log = logging.getLogger(__name__)

# A singular value below this share of the largest counts as 0: a loss would be weighted a thousandfold.
_LEAST_SINGULAR_VALUE = 1e-3


@final
class BackwardCorrection(TransitionCorrection):
    """One network whose loss mixes the losses of all labels so that, on average, the noise cancels out.

    The loss of a sample is Σ_k T⁻¹[ỹ, k] · ℓ(k), where T[i, j] = P(given = j | true = i) and ℓ(k) is the loss for label
    k. For any ℓ, its mean over the given labels that a true label can become is the loss for the true label. It can be
    negative. Probabilities are clipped to [1e-7, 1 − 1e-7] before ℓ sees them, as in the authors' code: this bounds
    cross-entropy, whose corrected losses would otherwise fall forever, and a sample beyond the bound teaches nothing
    more. The authors find `ForwardCorrection` to be better.

    T is given or estimated as in `ForwardCorrection`, and what is said there of the estimate and of the deviations
    holds here too. Where T has no inverse, or one of its singular values is below a thousandth of the largest, its
    pseudo-inverse without those is taken, with a warning.

    Recorded are the uncorrected losses, for comparison with other methods. A step computes the loss for all K labels,
    so that memory grows with B·K².

    Args:
        problem: The task; any loss, cross-entropy in the paper. T can be estimated only with a loss that is lowest at
            the true probabilities, as cross-entropy is.
        matrix: T as K rows of K probabilities, or a `.csv`, `.json` or `.npy` file of them, which counts as an oracle;
            or `estimate`, `anchor_points` or `dual_t`, see `ForwardCorrection`.
        warm_up: Epochs >= 1 before T is estimated; null: half of all, as in the paper. Not used with a given T.
        percentile: Of `anchor_points`, in (0, 100], of the sample that a row is estimated from, see
            `ForwardCorrection`: 97 in the paper, 100 for CIFAR-100.
        restart: Whether the network starts again from its initial weights once T is known, as in the paper.
        erase: Of `anchor_points`: whether to estimate as the authors' code seemingly does by mistake, see
            `ForwardCorrection`.

    Raises:
        InputError: The matrix is not one of K classes.
        ValueError: A value is out of range.
    """

    inverse: Tensor
    """(K, K), the identity until the matrix is known."""

    def __init__(
        self,
        problem: Problem,
        matrix: Matrix = "estimate",
        warm_up: int | None = None,
        percentile: float = 97.0,
        restart: bool = True,
        erase: bool = False,
    ) -> None:
        super().__init__(problem, matrix, warm_up, percentile, restart, erase)
        self.register_buffer("inverse", inverse_of(self.noise.matrix))

    def on_epoch_start(self, context: EpochContext) -> None:
        """Estimate the matrix when the warm-up is over."""
        if self.noise.update(context, self.backbone):
            self.inverse.copy_(inverse_of(self.noise.matrix))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the corrected losses, in the warm-up the uncorrected ones."""
        mixed = self.mixed(image, label, index)
        logits = self.backbone(mixed.image)
        losses = self.loss(logits, label)
        every = losses_of_all_labels(self.loss, clipped_probabilities(logits).log())
        inverse = self.inverse.to(every.dtype)

        def of_others(label: Tensor, index: Tensor) -> Tensor:
            return self.mean((inverse[label] * every).sum(1), self.loss(logits, label), index)

        return Step(mixed.blend(self.mean((inverse[label] * every).sum(1), losses, index), of_others), losses, logits)


def inverse_of(matrix: Tensor) -> Tensor:
    """Return the inverse of a matrix (K, K), or where it is (nearly) singular a pseudo-inverse, with a warning."""
    exact = matrix.cpu().double()  # the same on all devices
    if torch.linalg.matrix_rank(exact, rtol=_LEAST_SINGULAR_VALUE) < len(exact):
        _log.warning("the transition matrix is (nearly) singular: a pseudo-inverse corrects the losses")
    inverse: Tensor = torch.linalg.pinv(exact, rtol=_LEAST_SINGULAR_VALUE)
    return inverse.to(matrix)
