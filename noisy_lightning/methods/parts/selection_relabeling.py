"""Selection and relabeling by the votes of neighbors: Feng, Tzimiropoulos and Patras, BMVC 2022."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.batch_random import BatchRandom
from noisy_lightning.methods.parts.features import LogitsAndFeatures
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.neighbors import balanced, neighbor_votes
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import gather, weighted_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.semi_supervised import class_balance, no_losses


class SelectionAndRelabeling(OneNetwork):
    """A method that learns from mixed views of samples whose labels their neighbors confirm; see `SSR`.

    A subclass asks for two strong views, before any others.
    """

    shares: Tensor
    """(2,) of the training part: kept, and with a new label."""

    def __init__(
        self,
        problem: Problem,
        relabel_threshold: float,
        selection_threshold: float,
        neighbours: int,
        balance_votes: bool,
        alpha: float,
    ) -> None:
        check_range("relabel_threshold", relabel_threshold, "[0, 1]")
        check_range("selection_threshold", selection_threshold, "[0, 1]")
        check_range("neighbours", neighbours, "[1, inf)")
        check_range("alpha", alpha, "(0, inf)")
        problem.require_soft_targets()
        super().__init__(problem)
        samples, self.num_classes = problem.num_samples, problem.num_classes
        self.relabel_threshold, self.selection_threshold = relabel_threshold, selection_threshold
        self.neighbours, self.balance_votes, self.alpha = neighbours, balance_votes, alpha
        self.random = BatchRandom()
        self.logits = SampleMemory(samples, problem.num_classes)
        self.labels = SampleMemory(samples, dtype=torch.long)
        self.weights = SampleMemory(samples)
        self.register_buffer("shares", torch.zeros(2))

    @property
    def depends_on_length(self) -> bool:
        """Whether augmented predictions are used: yes."""
        return True

    def scalars(self) -> dict[str, Tensor]:
        """Return `kept` and `relabelled`, the shares of the samples that are learned from and that got a new label."""
        return {"kept": self.shares[0], "relabelled": self.shares[1]}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Relabel, and select by the votes of neighbors."""
        index = (context.labels >= 0).nonzero().squeeze(1)
        device = self.shares.device
        outputs = context.predict(LogitsAndFeatures(self.backbone), augmented=True)[index].to(device)
        index, given = index.to(device), context.labels[index].to(device)
        logits, features = outputs[:, : self.num_classes], outputs[:, self.num_classes :]
        if outputs.isfinite().all():
            self.logits.values.index_copy_(0, index, logits)
            labels = relabeled(given, logits, self.relabel_threshold)
            votes = neighbor_votes(features, labels, self.neighbours, self.num_classes)
            if self.balance_votes:
                votes = balanced(votes, labels)
            kept = confirmed(votes, labels, self.selection_threshold)
        else:
            warnings.warn("SSR: features are not finite, all given labels are used for an epoch", stacklevel=2)
            labels, kept = given, torch.ones_like(given, dtype=torch.bool)
        self.labels.values.index_copy_(0, index, labels)
        weights = class_balance(labels[kept], self.num_classes)[labels] * kept
        self.weights.values.index_copy_(0, index, weights)
        self.shares.copy_(torch.stack([kept, labels != given]).float().mean(1))

    def recorded(self, label: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what to record of samples (B,): losses (B,), logits (B, K), and whether the given label is learned."""
        logits = self.logits.read(index)
        return self.loss(logits, label), logits, (self.weights.read(index) > 0) & (self.labels.read(index) == label)

    def mixed_loss(self, views: Tensor, index: Tensor) -> Tensor:
        """Return this rank's part of the mean loss of mixed samples (); see `batch_mean`.

        Args:
            views: (V, B, C, H, W), all of which are mixed with each other.
            index: (B,).
        """
        # A row is one view of one sample, first views first.
        rows = (index * len(views) + torch.arange(len(views), device=index.device)[:, None]).flatten()
        everyone, everything = gather(rows), gather(views.flatten(0, 1))
        weights = self.weights.read(everyone // len(views))
        kept = weights > 0
        own = rows[self.weights.read(index).repeat(len(views)) > 0]
        mixup = Mixup(own, everyone[kept], self.alpha, self.random.next())
        if not len(own):
            nothing = no_losses(self.backbone)
            return weighted_mean(nothing, nothing.detach())
        target = F.one_hot(self.labels.read(everyone[kept] // len(views)), self.num_classes)
        losses = self.loss(self.backbone(mixup.of(everything[kept])), mixup.of(target))
        return weighted_mean(losses, weights[kept][mixup.own] * weights[kept][mixup.partner])


def relabeled(labels: Tensor, logits: Tensor, threshold: float) -> Tensor:
    """Return the predicted class (n,) where its probability is above a threshold, elsewhere the given label (n,)."""
    confidence, predicted = log_probabilities(logits).exp().max(1)
    return predicted.where(confidence > threshold, labels)


def confirmed(votes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Return whether the votes (n, K) for the label (n,) reach a share of those for the class with most (n,)."""
    return votes.gather(1, labels[:, None]).squeeze(1) / votes.amax(1) >= threshold
