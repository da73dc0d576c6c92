"""RRL, robust representation learning: Li, Xiong and Hoi, ICCV 2021."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.backbones.classifier import classifiers
from noisy_lightning.losses.probabilities import at_label, log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.contrastive import contrast_of
from noisy_lightning.methods.parts.cosine_neighbors import cosine_neighbors
from noisy_lightning.methods.parts.features import feature_width, logits_and_features
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ramps import rise
from noisy_lightning.methods.parts.ranks import batch_mean, gather, gather_with_gradient, weighted_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.types import Step, View

_ROWS = 2048  # samples whose neighbors' labels are averaged at once


@final
class RRL(OneNetwork):
    """A network whose features are learned by contrast, and whose neighbors in that space correct the labels.

    Features are projected to an embedding v of `width` numbers, z = v / ‖v‖, and back, relu(A·v + b). Loss:

        CE + reconstruction + instance contrast + ω·prototype contrast.

    The reconstruction loss is the mean squared error of the features, for both views of all images. The instance
    contrast is that of the weak views of all images with both views of all (`contrast_of`), with temperature τ.
    Cross-entropy is that of clean samples, on the weak view. For the prototype contrast, both views of clean samples
    are mixed with each other by MixUp with one l ~ Beta(α, α), which is not folded; it is the cross-entropy, on both
    labels, of softmax(z·c / τ) over the classes' prototypes c, the normalized means of the embeddings of clean samples,
    which are computed before each epoch.

    From epoch `correct_from` on, labels are corrected before each epoch. The soft label of a sample becomes (s + p) /
    2, where p are the network's probabilities and s is the mean of the soft labels of its k nearest neighbors by z,
    with weights exp(cos / τ). Where that gives the given label more than `low`, the soft label becomes the given label.
    A sample whose soft label exceeds `high` for one class is clean, and has this class as its label. Soft labels remain
    from epoch to epoch, and begin as p, or the given label where p has more than `low` for it. Before, all are clean.

    | recipe                        | low  | ω                       | correct_from |
    | ----------------------------- | ---- | ----------------------- | ------------ |
    | CIFAR-10, symmetric noise     | 0.1  | 5                       | 5            |
    | CIFAR-10, asymmetric noise    | 0.4  | from 1 to 5, 40 epochs  | 5            |
    | CIFAR-100                     | 0.02 | from 1 to 5, 40 epochs  | 15           |

    Recorded are the logits of the weak view and its losses on given labels; `kept` is whether a sample is clean
    with its given label. On several ranks the whole batch is contrasted and mixed.

    Deviations: the authors' strong view is AugMix of severity 1, whose loop by its indentation performs and counts the
    last chain only; `AugMix`, in our configurations, mixes all three. They warm up for 101 batches, by cross-entropy
    and reconstruction of the weak view, and then begin with the first epoch. Here these are the first batches of the
    first epoch, and the rest of it has no prototype contrast yet. For Clothing1M they begin soft labels anew in each
    epoch, and there and for WebVision they mix weak views alone, to save memory; here soft labels remain, and both
    views are mixed. A class without clean samples, whose prototype is NaN in their code, has none, and neither is
    contrasted with.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        width: Of the embedding, >= 1; 50 for CIFAR, 32 for Clothing1M.
        warm_up: Batches >= 0 of the warm-up.
        temperature: τ > 0; 0.3.
        alpha: α > 0; 8.
        prototype_weight: ω >= 0.
        prototype_ramp: Epochs >= 0 in which ω goes from 1 to its end.
        correct_from: First epoch of correction, >= 1.
        k: How many neighbors, >= 1; 200.
        low: In [0, 1].
        high: In [0, 1]; 0.9.

    Raises:
        ValueError: A value is out of range, or the network does not end in a linear layer.
    """

    views: ClassVar[Sequence[View]] = ("weak", "strong")

    seed: Tensor
    """(), int64: seeds all mixing, together with the number of the batch."""
    epoch: Tensor
    """(), int64: the current epoch."""
    batches: Tensor
    """(), int64: batches so far."""
    prototypes: Tensor
    """(K, width), of length one; zeros for a class that has none."""
    share_clean: Tensor
    """(), share of the training part that is clean."""

    def __init__(
        self,
        problem: Problem,
        width: int = 50,
        warm_up: int = 101,
        temperature: float = 0.3,
        alpha: float = 8.0,
        prototype_weight: float = 5.0,
        prototype_ramp: int = 0,
        correct_from: int = 5,
        k: int = 200,
        low: float = 0.1,
        high: float = 0.9,
    ) -> None:
        for name, value in {"width": width, "correct_from": correct_from, "k": k}.items():
            check_range(name, value, "[1, inf)")
        for name, amount in {"temperature": temperature, "alpha": alpha}.items():
            check_range(name, amount, "(0, inf)")
        weights = {"prototype_weight": prototype_weight, "prototype_ramp": prototype_ramp, "warm_up": warm_up}
        for name, amount in weights.items():
            check_range(name, amount, "[0, inf)")
        check_range("low", low, "[0, 1]")
        check_range("high", high, "[0, 1]")
        super().__init__(problem)
        self.register_buffer("seed", torch.randint(2**62, ()))
        features, dtype = feature_width(self.backbone), next(classifiers(self.backbone)[0].parameters()).dtype
        self.embedding = nn.Linear(features, width, dtype=dtype)
        self.decoder = nn.Linear(width, features, dtype=dtype)
        self.soft = SampleMemory(problem.num_samples, problem.num_classes)
        self.labels = SampleMemory(problem.num_samples, fill=-1, dtype=torch.long)  # -1: the given one
        self.clean = SampleMemory(problem.num_samples, fill=1.0)
        self.num_classes, self.warm_up, self.temperature, self.alpha = problem.num_classes, warm_up, temperature, alpha
        self.prototype_weight, self.prototype_ramp = prototype_weight, prototype_ramp
        self.correct_from, self.k, self.low, self.high = correct_from, k, low, high
        for name in ("epoch", "batches"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))
        self.register_buffer("prototypes", torch.zeros(self.num_classes, width))
        self.register_buffer("share_clean", torch.ones(()))

    def scalars(self) -> dict[str, Tensor]:
        """Return `clean`, the share of samples that are clean."""
        return {"clean": self.share_clean}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when correction begins and ω reaches its end."""
        return {"correct_from": self.correct_from + 1, "prototype_ramp": self.prototype_ramp}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Correct the labels, and compute the prototypes."""
        self.epoch.fill_(context.epoch)
        if context.epoch < 1:
            return
        rows = (context.labels >= 0).nonzero().squeeze(1).to(self.epoch.device)
        labels = context.labels.to(self.epoch.device)[rows]
        outputs = context.predict(_LogitsAndEmbedding(self.backbone, self.embedding)).to(self.epoch.device)[rows]
        p, z = (
            log_probabilities(outputs[:, : self.num_classes]).exp(),
            F.normalize(outputs[:, self.num_classes :], dim=1),
        )
        if context.epoch >= self.correct_from:
            begun = context.epoch > self.correct_from
            soft = self.soft.read(rows) if begun else with_given(p, labels, self.low)
            soft = with_given((neighbors_mean(z, soft, self.k, self.temperature) + p) / 2, labels, self.low)
            sure, best = soft.max(1)
            self.soft.values[rows] = soft.to(self.soft.values.dtype)
            self.clean.values[rows] = (sure > self.high).to(self.clean.values.dtype)
            self.labels.values[rows] = best
            labels = best
        clean = self.clean.read(rows) > 0
        self.share_clean.copy_(clean.float().mean())
        members = F.one_hot(labels[clean], self.num_classes).to(z)
        self.prototypes.copy_(F.normalize(members.T @ z[clean], dim=1))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on both views, by what is known of the labels now."""
        weak, strong = image
        random = np.random.default_rng([int(self.seed), int(self.batches)])
        warming = int(self.batches) < self.warm_up
        self.batches.add_(1)
        logits, z, loss = self._outputs(weak)
        now, clean = self.labels.read(index), self.clean.read(index) > 0
        target = torch.where(now < 0, label, now)
        loss = loss + weighted_mean(self.loss(logits, target), clean)
        if not warming:
            _, other, reconstruction = self._outputs(strong)
            loss = (
                loss
                + reconstruction
                + contrast_of(gather_with_gradient(z), gather_with_gradient(other), self.temperature)
            )
            loss = loss + self._prototype_contrast(image, target, clean, index, random)
        return Step(loss, self.loss(logits.detach(), label), logits.detach(), clean & (target == label))

    def _outputs(self, image: Tensor) -> "_Outputs":
        logits, features = logits_and_features(self.backbone, image)
        v = self.embedding(features)
        errors = (self.decoder(v).relu() - features).float().square().mean(1)
        return _Outputs(logits, F.normalize(v, dim=1), batch_mean(errors))

    def _prototype_contrast(
        self, image: Tensor, target: Tensor, clean: Tensor, index: Tensor, random: np.random.Generator
    ) -> Tensor:
        """Return ω times the loss () of mixed clean images (2, B, ...); 0 before there are prototypes."""
        there = self.prototypes.any(1)
        share = float(random.beta(self.alpha, self.alpha))
        # A row is one view of one sample, first views first.
        rows = (2 * index + torch.arange(2, device=index.device)[:, None]).flatten()
        kept = clean.repeat(2)
        chosen = gather(kept.byte()).bool()
        losses = image.new_zeros(0)
        if there.any() and chosen.any():
            pairs = Mixup(rows[kept], gather(rows)[chosen], 0.0, random)
            images, targets = gather(image.flatten(0, 1))[chosen], gather(target.repeat(2))[chosen]
            if len(pairs.own):
                mixed = share * images[pairs.own] + (1 - share) * images[pairs.partner]
                z = F.normalize(self.embedding(logits_and_features(self.backbone, mixed)[1]), dim=1)
                cosines = z.to(self.prototypes.dtype) @ self.prototypes.T
                log_p = log_probabilities((cosines / self.temperature).masked_fill(~there, -torch.inf))
                losses = -share * at_label(log_p, targets[pairs.own])
                losses = losses - (1 - share) * at_label(log_p, targets[pairs.partner])
        weight = 1 + (self.prototype_weight - 1) * rise(int(self.epoch), self.prototype_ramp)
        return weight * weighted_mean(losses, torch.ones_like(losses))


class _Outputs(NamedTuple):
    """What the network gives for some images: logits (B, K), embeddings z (B, width), and the reconstruction loss."""

    logits: Tensor
    z: Tensor
    reconstruction: Tensor


class _LogitsAndEmbedding(nn.Module):
    """Gives logits and v side by side, for a pass over the training part."""

    def __init__(self, network: nn.Module, embedding: nn.Module) -> None:
        super().__init__()
        self.network, self.embedding = network, embedding

    def forward(self, image: Tensor) -> Tensor:
        logits, features = logits_and_features(self.network, image)
        return torch.cat([logits, self.embedding(features)], 1)


def with_given(soft: Tensor, labels: Tensor, low: float) -> Tensor:
    """Return soft labels (n, K), replaced by the given labels (n,) where they give these more than `low`."""
    given = F.one_hot(labels, soft.shape[1]).to(soft)
    return torch.where(soft.gather(1, labels[:, None]) > low, given, soft)


def neighbors_mean(unit: Tensor, soft: Tensor, k: int, temperature: float) -> Tensor:
    """Return the mean soft label (n, K) of the k nearest neighbors of each sample, with weights exp(cos / τ).

    Args:
        unit: (n, D) vectors of length one.
        soft: (n, K) soft labels.
        k: >= 1.
        temperature: τ > 0.
    """
    if len(unit) < 2:
        return soft
    positions, similarity = cosine_neighbors(unit, k)
    weights = torch.softmax(similarity / temperature, 1).to(soft)
    blocks = zip(torch.split(positions, _ROWS), torch.split(weights, _ROWS), strict=True)
    return torch.cat([(soft[near] * share[..., None]).sum(1) for near, share in blocks])
