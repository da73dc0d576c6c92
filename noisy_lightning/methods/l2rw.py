"""Learning to reweight examples: Ren, Zeng, Yang and Urtasun, ICML 2018."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.methods.parts.trusted_batch import TrustedBatch, alignments, learned_weights, logits_at
from noisy_lightning.types import Step


@final
class L2RW(OneNetwork):
    """One network that learns most from the samples whose gradients point where those of verified labels do.

    Beside each batch, one of samples with verified labels is served. The weight of a sample is how much the verified
    samples' loss would fall if the network took a small step on it: w_i ∝ max(⟨∇ℓ_i, ∇L⟩, 0), L being the mean loss of
    the verified samples plus λ/2·Σθ² over the weights of convolutions and linear layers. The w of a batch sum to 1, or
    are all 0, and Σ w_i·ℓ_i is minimized. Nothing is remembered from batch to batch.

    The paper takes a virtual step of all samples with weights 0, differentiates L after it by these weights, and drops
    negative values. As the virtual step with weights 0 does not move the network, that is the formula above, and the
    step's length cancels.

    Samples with verified labels weigh 0 in the batches themselves, as the authors take them out of the training set.
    Recorded are ℓ_i and, as `kept`, w_i. A step costs about seven times one of `Standard` (SmallCNN, one CPU thread).

    Deviation: batch normalization sees the verified samples, but they do not move its running statistics.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        trusted: A CSV file with columns index,label: verified labels of some samples by their position in the training
            set. The paper has 1,000 for CIFAR, or 10 a class. They need not be balanced.
        weight_decay: λ >= 0, in L alone; 0.0002 in the authors' code, which has it in the loss of the batch, too: that
            is the optimizer's `weight_decay`.

    Raises:
        InputError: `trusted` cannot be read; or, when a run begins, is missing or names no sample.
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY

    def __init__(self, problem: Problem, trusted: Path | None = None, weight_decay: float = 2e-4) -> None:
        check_range("weight_decay", weight_decay, "[0, inf)")
        super().__init__(problem)
        self.trusted, self.weight_decay = TrustedBatch(trusted, problem), weight_decay

    def companions(self, trained: Tensor) -> Tensor:
        """Return the samples with verified labels."""
        return self.trusted.index

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Weight the losses by how far their gradients go with those of verified labels."""
        logits: Tensor = self.backbone.forward(image)  # not __call__: what is compiled has no second derivative
        losses = self.loss(logits, label)
        weights = learned_weights(self.backbone)
        aligned = alignments(losses, list(weights.values()), self._direction(weights))
        sample_weight = aligned.clamp(min=0) * self.trusted.others(index)
        all_weights = total(sample_weight.sum())
        sample_weight = sample_weight / torch.where(all_weights > 0, all_weights, 1)
        return Step((sample_weight * losses).sum() * world_size(), losses, logits, sample_weight)

    def _direction(self, weights: dict[str, Tensor]) -> list[Tensor]:
        """Return the gradient of L, that of the verified samples of all ranks."""
        image, label = self.trusted.of(self.companion)
        clean = batch_mean(self.loss(logits_at(self.backbone, weights, image), label))
        gradients = torch.autograd.grad(clean, list(weights.values()), materialize_grads=True)
        decayed = (self.weight_decay * weight.detach() * (weight.dim() > 1) for weight in weights.values())
        return [total(gradient) / world_size() + decay for gradient, decay in zip(gradients, decayed, strict=True)]
