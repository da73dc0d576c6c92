"""Meta-Weight-Net: Shu, Xie, Yi, Zhao, Zhou, Xu and Meng, NeurIPS 2019."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, Problem
from noisy_lightning.methods.parts.adam import Adam
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.methods.parts.trusted_batch import TrustedBatch, alignments, learned_weights, logits_at
from noisy_lightning.types import Step

_HIDDEN = 100


@final
class MetaWeightNet(OneNetwork):
    """One network whose samples are weighted by a second, small one, which learns from samples with verified labels.

    The small network V gives a weight in (0, 1) for a loss. In each step, the network would go to
    θ̂ = θ − α·∇ mean V(ℓ_i)·ℓ_i; V learns to make the mean loss at θ̂ of the verified samples, which are served beside
    each batch, as small as can be; and then θ learns from mean V(ℓ_i)·ℓ_i with the new V. V takes ℓ_i as a number,
    without gradient.

    V has one hidden layer of 100 units with ReLU and learns by Adam at a rate of its own, with weight decay 1e-4. The
    second derivative is taken as mean V′(ℓ_i)·⟨∇ℓ_i, ∇L(θ̂)⟩, which is exact and needs no graph of the virtual step.

    Samples with verified labels do not count in the batches themselves, as the authors take them out of the training
    set. Recorded are ℓ_i and, as `kept`, V(ℓ_i). Logged are V at losses 0 and 5, as `weight_at_0` and `weight_at_5`. A
    step costs about eight times one of `Standard` (SmallCNN, one CPU thread). Where gradients are accumulated, V learns
    from each batch.

    Deviations: batch normalization sees the verified samples, but they do not move its running statistics. Of the
    authors' two scripts this is the first; the second divides the weights of a batch by their sum, see `normalize`, and
    teaches V by SGD.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        trusted: A CSV file with columns index,label: verified labels of some samples by their position in the training
            set. The paper has 1,000, as many of each class.
        lr: Learning rate >= 0 of V; 1e-3 in the authors' code.
        weight_decay: Of V, >= 0; 1e-4 in the authors' code.
        virtual_lr: α > 0; null: the optimizer's present learning rate, as the authors have it.
        normalize: Whether the weighted losses of a batch are divided by the sum of their weights and not by their
            number, in the step itself as well as in the virtual one.

    Raises:
        InputError: `trusted` cannot be read; or, when a run begins, is missing or names no sample.
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY

    def __init__(
        self,
        problem: Problem,
        trusted: Path | None = None,
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        virtual_lr: float | None = None,
        normalize: bool = False,
    ) -> None:
        check_range("lr", lr, "[0, inf)")
        check_range("weight_decay", weight_decay, "[0, inf)")
        if virtual_lr is not None:
            check_range("virtual_lr", virtual_lr, "(0, inf)")
        super().__init__(problem)
        self.trusted = TrustedBatch(trusted, problem)
        self.lr, self.weight_decay, self.virtual_lr, self.normalize = lr, weight_decay, virtual_lr, normalize
        # No optimizer of the run sees its weights.
        self.weighing = nn.Sequential(nn.Linear(1, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, 1)).requires_grad_(False)
        self.adams = nn.ModuleList(Adam(*weight.shape) for weight in self.weighing.parameters())

    def companions(self, trained: Tensor) -> Tensor:
        """Return the samples with verified labels."""
        return self.trusted.index

    def scalars(self) -> dict[str, Tensor]:
        """Return the weights of a right and of a wrong prediction, roughly."""
        low, high = self._weights(next(self.weighing.parameters()).new_tensor([0.0, 5.0]))
        return {"weight_at_0": low, "weight_at_5": high}

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Let V learn from where its weights would lead; average the losses by its new weights."""
        logits: Tensor = self.backbone.forward(image)  # not __call__: what is compiled has no second derivative
        losses = self.loss(logits, label)
        others = self.trusted.others(index).to(losses.dtype)
        self._teach(losses, others)
        sample_weight = self._weights(losses.detach()) * others
        return Step(self._mean(losses, sample_weight, others), losses, logits, sample_weight)

    def _weights(self, losses: Tensor, learned: dict[str, Tensor] | None = None) -> Tensor:
        """Return V (B,) of losses (B,), with its weights or others."""
        with torch.autocast(losses.device.type, enabled=False):
            own: dict[str, Tensor] = dict(self.weighing.named_parameters())
            number = losses[:, None].to(own["0.weight"].dtype)
            values: Tensor = functional_call(self.weighing, learned or own, (number,))
        return values.squeeze(1).sigmoid()

    def _mean(self, losses: Tensor, sample_weight: Tensor, others: Tensor) -> Tensor:
        """Return this rank's part of the weighted mean of losses (B,) over the whole batch; see `batch_mean`."""
        return (losses * sample_weight).sum() / self._divisor(sample_weight, others)

    def _divisor(self, sample_weight: Tensor, others: Tensor) -> Tensor:
        """Return what weighted losses are divided by, per rank."""
        size = total((sample_weight if self.normalize else others).sum())
        return torch.where(size > 0, size, 1) / world_size()

    def _teach(self, losses: Tensor, others: Tensor) -> None:
        """Move V along its gradient through the virtual step."""
        rate = self._rate()
        weights = learned_weights(self.backbone)
        learned = {name: weight.detach().requires_grad_() for name, weight in self.weighing.named_parameters()}
        sample_weight = self._weights(losses.detach(), learned) * others
        # What multiplies ∇ℓ_i in the gradient of the mean; with `normalize` it depends on all weights of the batch.
        shares = sample_weight / self._divisor(sample_weight, others)
        gradients = torch.autograd.grad(
            losses, list(weights.values()), shares.detach(), retain_graph=True, materialize_grads=True
        )
        moved = {
            name: (weight - rate * total(gradient) / world_size()).detach().requires_grad_()
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
        image, label = self.trusted.of(self.companion)
        clean = batch_mean(self.loss(logits_at(self.backbone, moved, image), label))
        direction = torch.autograd.grad(clean, list(moved.values()), materialize_grads=True)
        direction_of_all = [total(one) / world_size() for one in direction]
        aligned = alignments(losses, list(weights.values()), direction_of_all) * others
        toward = self._derivative(aligned, sample_weight, others)
        slopes = torch.autograd.grad(sample_weight, list(learned.values()), -rate * toward)
        with torch.no_grad():
            for weight, slope, adam in zip(self.weighing.parameters(), slopes, self.adams, strict=True):
                assert isinstance(adam, Adam)
                adam.descend(weight, total(slope), self.lr, self.weight_decay)

    def _rate(self) -> float:
        """Return α.

        Raises:
            ValueError: There is no run whose rate it could be.
        """
        if self.virtual_lr is not None:
            return self.virtual_lr
        if self.learning_rate is None:
            raise ValueError("virtual_lr: outside of a run there is no learning rate to follow, give a number > 0")
        return self.learning_rate()

    def _derivative(self, aligned: Tensor, sample_weight: Tensor, others: Tensor) -> Tensor:
        """Return the derivative (B,) of Σ w_i·a_i / divisor by w, over the samples of all ranks.

        Args:
            aligned: (B,) a.
            sample_weight: (B,) w.
            others: (B,) 1 where a sample counts, else 0.
        """
        divisor = self._divisor(sample_weight.detach(), others) * world_size()
        if not self.normalize:
            return aligned / divisor
        mean = total((sample_weight.detach() * aligned).sum()) / divisor
        return (aligned - mean * others) / divisor
