"""MixFix: Feng, Tzimiropoulos and Patras, ACM MM 2024."""

from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.inference import inferred
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import gather, weighted_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.types import Step


@final
class MixFix(OneNetwork):
    """A network that trains on selected samples, absorbs others that it is sure of, and relabels some, by MixUp.

    A selection file (`data.selection`), by any selector, says which samples are clean: the selected ones, for the whole
    run, with their given labels. Before each epoch the network looks at all others as they are. Where it predicts the
    given label with a probability of at least `absorb`, a sample joins with it; where it predicts another class with at
    least `relabel`, it joins with that one; the rest does not take part. Each epoch begins with the given labels again.
    Without a file all samples are clean.

    Classes are balanced, by the labels of the epoch: the loss of a sample of class c is weighted by n / (C·n_c), for
    n_c of n samples and C classes that are there. The image is mixed with a partner, which is drawn from those of the
    batch that take part with a probability in proportion to this weight, and the loss is

        s·loss(y) + (1 − s)·loss(y of the partner), s = max(l, 1 − l), l ~ Beta(α, α), one draw for each batch.

    | data                                   | absorb | relabel |
    | -------------------------------------- | ------ | ------- |
    | CIFAR-10                               | 0.8    | 0.8     |
    | CIFAR, noise that depends on the image | 1      | 1       |
    | Animal-10N                             | 0.7    | 0.95    |
    | Red mini-ImageNet                      | 0.8    | 0.95    |
    | WebVision                              | 0.7    | 1       |

    α is 4, 1 or 0.5, by the data. A probability of 1 is one that float32 rounds to it.

    Recorded are the logits of the images before they are mixed, in eval mode, and their losses on the given labels;
    `kept` is whether a sample takes part with its given label. On several ranks partners come from the whole batch.

    Deviations: the authors draw batches of samples that take part, each class as often as any other, and so samples of
    small classes several times per epoch. Here each sample is seen once per epoch and weighted, which has the same
    expectation; a batch is smaller by those who do not take part.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        absorb: θ_r in [0, 1].
        relabel: θ'_r in [0, 1].
        alpha: α > 0.

    Raises:
        ValueError: A value is out of range.
    """

    uses_candidates: ClassVar[bool] = True
    uses_rejected: ClassVar[bool] = True

    seed: Tensor
    """(), int64: seeds all mixing, together with the number of the batch."""
    batches: Tensor
    """(), int64: batches so far."""
    shares: Tensor
    """(2,), of the training part: what takes part, and what of it has another label than the given one."""

    def __init__(self, problem: Problem, absorb: float = 0.8, relabel: float = 0.8, alpha: float = 4.0) -> None:
        check_range("absorb", absorb, "[0, 1]")
        check_range("relabel", relabel, "[0, 1]")
        check_range("alpha", alpha, "(0, inf)")
        super().__init__(problem)
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))
        self.register_buffer("shares", torch.zeros(2))
        self.labels = SampleMemory(problem.num_samples, fill=-1, dtype=torch.long)  # -1: does not take part
        self.weights = SampleMemory(problem.num_samples)
        self.num_classes, self.absorb, self.relabel, self.alpha = problem.num_classes, absorb, relabel, alpha

    def scalars(self) -> dict[str, Tensor]:
        """Return the shares of the training part that take part (`used`) and that are `relabelled`."""
        return {"used": self.shares[0], "relabelled": self.shares[1]}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Absorb and relabel, and balance the classes."""
        labels = context.labels.clone()
        if context.candidates is not None and context.candidates.any():
            others = (context.candidates & (labels >= 0)).nonzero().squeeze(1)
            p = log_probabilities(context.predict(self.backbone, index=others)).exp()
            labels[others] = fixed(p, labels[others], self.absorb, self.relabel)
        weights = balancing_weights(labels, self.num_classes)
        self.labels.values.copy_(labels)
        self.weights.values.copy_(weights)
        trained_on = context.labels >= 0
        used, relabeled = (labels >= 0)[trained_on], ((labels >= 0) & (labels != context.labels))[trained_on]
        self.shares.copy_(torch.stack([used.float().mean(), relabeled.float().mean()]))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on mixtures of what takes part."""
        random = np.random.default_rng([int(self.seed), int(self.batches)])
        self.batches.add_(1)
        unmixed = inferred(self.backbone, image)
        target, weights = self.labels.read(index), self.weights.read(index)
        takes_part = target >= 0
        share = float(random.beta(self.alpha, self.alpha))
        share = max(share, 1 - share)
        everyone, images, targets = gather(index), gather(image), gather(target)
        partner = partners(index[takes_part], everyone[targets >= 0], self.weights, random)
        if len(partner):
            place = everyone.argsort()[torch.searchsorted(everyone.sort().values, partner)]
            mixed = share * image[takes_part] + (1 - share) * images[place]
            own, other, mine = target[takes_part], targets[place], weights[takes_part]
        else:  # several ranks wait for the gradient of every weight
            mixed, own, other, mine = image, label, label, torch.zeros_like(weights)
        logits = self.backbone(mixed)
        losses = share * self.loss(logits, own) + (1 - share) * self.loss(logits, other)
        loss = weighted_mean(losses * mine, mine > 0)
        return Step(loss, self.loss(unmixed, label), unmixed, target == label)


def fixed(p: Tensor, labels: Tensor, absorb: float, relabel: float) -> Tensor:
    """Return the labels (n,) with which samples join, -1 for those that do not.

    Args:
        p: (n, K) probabilities.
        labels: (n,) given labels.
        absorb: What the probability of the given label must reach, where it is the largest.
        relabel: What that of another class must reach.
    """
    sure, best = p.max(1)
    joins = torch.where(best == labels, sure >= absorb, sure >= relabel)
    return torch.where(joins, best, -1)


def balancing_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Return n / (C·n_c) (N,), which averages 1 over the n samples with a label (N,); 0 for those with -1."""
    counts = torch.bincount(labels[labels >= 0], minlength=num_classes)
    each = counts.sum() / (counts > 0).sum().clamp(min=1) / counts.clamp(min=1)
    return torch.where(labels >= 0, each[labels.clamp(min=0)], 0.0)


def partners(index: Tensor, pool: Tensor, weights: SampleMemory, random: np.random.Generator) -> Tensor:
    """Return a partner's position (B,) for each of a rank's samples.

    Args:
        index: (B,) positions of these samples.
        pool: (ΣB,) those of all ranks.
        weights: To which the probability of a partner is proportional.
        random: Draws one partner for each of the pool, which is sorted by position.
    """
    if not len(pool):
        return index
    ordered = pool.sort().values
    shares = weights.read(ordered).double().cpu().numpy()
    drawn = torch.from_numpy(random.choice(len(ordered), len(ordered), p=shares / shares.sum())).to(index.device)
    return ordered[drawn[torch.searchsorted(ordered, index)]]
