"""T-Revision: Xia, Liu, Wang, Han, Gong, Niu and Sugiyama, NeurIPS 2019."""

from collections.abc import Collection
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import at_label, log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.adam import Adam
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import total, world_size
from noisy_lightning.methods.parts.transition_correction import mean_once_known
from noisy_lightning.methods.parts.transition_estimate import Matrix, TransitionEstimate
from noisy_lightning.types import Step

_LEAST_PROBABILITY = 1e-7


@final
class TRevision(OneNetwork):
    """One network whose samples are weighted by a transition matrix, which is then revised together with it.

    T[i, j] = P(given = j | true = i). Three stages follow each other in one run:

    1. For `warm_up` epochs the network learns from the given labels, by the plain loss. Then T̂ is estimated.
    2. For `reweighting` epochs the loss of a sample is β·ℓ(p, ỹ) with β = p_ỹ / (T̂ᵀp)_ỹ, how likely the given label
       is the true one over how likely it is to be given: importance reweighting. No gradient flows through β. The
       network goes on from what it has learned.
    3. For the rest of the run T̂ + ΔT stands in the place of T̂, and ΔT, which begins at 0, is learned from the same
       loss, with the gradient now through β into ΔT and the network. Neither need T̂ + ΔT have rows that sum to 1, nor
       entries >= 0; where (T̂ᵀp)_ỹ is below 1e-7 it counts as 1e-7.

    In the third stage, ΔT and the network are learned by Adam at a rate of its own, with weight decay, and the run's
    optimizer gets no gradient. The rate has to be small: β·ℓ is small also where p_ỹ is, so that a network that goes on
    by SGD at 0.01 comes to deny the given labels (measured: 11 % accuracy on MNIST after an epoch).

    Logged is `noise_rate`, the share of wrong labels by T̂ + ΔT if all classes are equally frequent; T̂ + ΔT is written
    to `result.json` and drawn in TensorBoard. Recorded are the uncorrected losses.

    Deviations. In the authors' loss for the third stage ΔT is added to T̂ once more for each sample of a batch, so that
    sample i, counted from 0, is weighted by T̂ + (i + 1)·ΔT; here all samples have the paper's T̂ + ΔT. A stage
    begins with the last weights of the one before, and not with those of the lowest loss on noisy validation labels.
    Their optimizer is SGD without momentum in the first stage, with momentum 0.9 in the second; here the run's in both.
    In the third, that one's momentum and weight decay go on for as long as its learning rate lets them. Their estimate
    divides column j by the sum of row j; here each row is divided by its own sum. On CIFAR they seek anchor points
    among augmented images; here images are as they are.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        warm_up: Epochs >= 1 of the first stage; 20 in the authors' code, 15 for CIFAR-100.
        reweighting: Epochs >= 0 of the second; 200 in the authors' code, 100 for MNIST.
        matrix: How T̂ is found, or T itself: see `ForwardCorrection`. A given one counts as an oracle, and the run
            begins with the second stage.
        percentile: Of `anchor_points` and `dual_t`, in (0, 100]; 97 in the authors' code, 100 for CIFAR-100.
        erase: Of the same two: whether p_i of samples above its percentile counts as 0 in later rows. The authors' code
            does this, probably by mistake.
        lr: Learning rate >= 0 of the third stage; 5e-7 in the authors' code, at which no entry can move by more than
            about 2e-4 in one epoch of 400 steps: shorter runs want more.
        weight_decay: Of the third stage, >= 0; 1e-4 in the authors' code.

    Raises:
        InputError: The matrix is not one of K classes.
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ("natural",)

    slack: Tensor
    """(K, K), ΔT."""
    estimated: Tensor
    """(K, K), T̂."""
    revising: Tensor
    """(), bool: whether the third stage has begun."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 20,
        reweighting: int = 200,
        matrix: Matrix = "anchor_points",
        percentile: float = 97.0,
        erase: bool = False,
        lr: float = 5e-7,
        weight_decay: float = 1e-4,
    ) -> None:
        check_range("reweighting", reweighting, "[0, inf)")
        check_range("lr", lr, "[0, inf)")
        check_range("weight_decay", weight_decay, "[0, inf)")
        super().__init__(problem)
        classes, samples = problem.num_classes, problem.num_samples
        self.noise = TransitionEstimate(self.backbone, classes, samples, matrix, warm_up, percentile, False, erase)
        self.warm_up, self.lr, self.weight_decay = warm_up, lr, weight_decay
        self.revised_from = reweighting if self.noise.given else warm_up + reweighting
        self.adam = Adam(classes, classes)
        self.adams = nn.ModuleList(Adam(*weight.shape) for weight in self.backbone.parameters())
        self.register_buffer("slack", torch.zeros(classes, classes))
        self.register_buffer("estimated", self.noise.matrix.clone())
        self.register_buffer("revising", torch.zeros((), dtype=torch.bool))
        self._gradients: list[list[Tensor]] = []  # of ΔT and the network, of the batches since the last step

    @property
    def oracle(self) -> bool:
        """Whether the matrix was given."""
        return self.noise.given

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the second and the third stage have begun."""
        began = {} if self.noise.given else {"warm_up": self.warm_up + 1.0}
        return {**began, "reweighting": self.revised_from + 1.0}

    def transition(self) -> Tensor | None:
        """Return T̂ + ΔT (K, K), None before T̂ is known."""
        return self.noise.transition()

    def scalars(self) -> dict[str, Tensor]:
        """Return `noise_rate`, the share of wrong labels by the matrix if all classes are equally frequent."""
        return self.noise.scalars()

    def on_epoch_start(self, context: EpochContext) -> None:
        """Estimate the matrix when the warm-up is over; begin to revise it when it is time."""
        if self.noise.update(context, self.backbone):
            self.estimated.copy_(self.noise.matrix)
        self.revising.fill_(context.epoch >= self.revised_from)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the weighted losses, in the warm-up the plain ones; keep the gradients of the third stage."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        revising = bool(self.revising)
        matrix = self.noise.matrix.detach().requires_grad_(revising)
        beta = importance(logits, label, matrix)
        loss = mean_once_known(self.noise, (beta if revising else beta.detach()) * losses, losses, index)
        if revising:
            weights = self._learned()
            gradients = torch.autograd.grad(loss, [matrix, *weights], materialize_grads=True)
            self._gradients.append([total(gradient) / world_size() for gradient in gradients])
            # Nothing for the run's optimizer, which wants a gradient all the same.
            loss = loss.detach() + sum((0 * weight).sum() for weight in weights)
        return Step(loss, losses, logits)

    def on_step_end(self) -> None:
        """In the third stage, learn from the batches since the last step, which count as one."""
        if not self._gradients:
            return
        means = [torch.stack(parts).mean(0) for parts in zip(*self._gradients, strict=True)]
        self._gradients.clear()
        pairs = zip(self.backbone.parameters(), self.adams, strict=True)
        adams = [adam for weight, adam in pairs if weight.requires_grad]
        for value, gradient, adam in zip([self.slack, *self._learned()], means, [self.adam, *adams], strict=True):
            assert isinstance(adam, Adam)
            adam.descend(value, gradient, self.lr, self.weight_decay)
        self.noise.matrix.copy_(self.estimated + self.slack)

    def _learned(self) -> list[nn.Parameter]:
        """Return the network's weights that learn at present."""
        return [weight for weight in self.backbone.parameters() if weight.requires_grad]


def importance(logits: Tensor, label: Tensor, matrix: Tensor) -> Tensor:
    """Return β = p_ỹ / (Tᵀp)_ỹ (B,) of logits (B, K) and given labels (B,) by the transition matrix (K, K)."""
    p = log_probabilities(logits).exp()
    given = (p * matrix.T[label].to(p.dtype)).sum(1)
    return at_label(p, label) / given.clamp_min(_LEAST_PROBABILITY)
