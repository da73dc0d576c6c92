"""D2L, dimensionality-driven learning: Ma, Wang, Houle, Zhou, Erfani, Xia, Wijewickrema and Bailey, ICML 2018."""

import copy
import math
import warnings
from collections.abc import Collection
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.features import logits_and_features
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.types import Step

_BATCH = 128
_SMALL = 1e-8


@final
class DimensionalityDriven(OneNetwork):
    """One network that trusts its own predictions once the dimension of its features grows.

    While a network learns, the local intrinsic dimensionality (LID) of its features falls; when it begins to memorize
    wrong labels, the LID rises. LID_t is estimated before each epoch, as the mean over random training samples of
    −k / Σ_i log(r_i / r_k + 1e-8), where r_1 to r_k are the distances from a sample's features to those of its nearest
    neighbors. Neighbors are found among 128 samples at a time. Features are what enters the last layer.

    The turning point is the first estimate after `init_epoch` + `window` others that is more than two standard
    deviations above the mean of the last `window`. There the network goes back, once, to its weights of one epoch
    before. From then on the target of a sample is

        α · onehot(given label) + (1 − α) · onehot(predicted class),  α = exp(−t / T · LID_t / min LID),

    where t is the epoch, T the number of epochs, and the minimum is over all estimates so far. If the LID never rises
    like that, this is plain training. The LID at the turning point is that of the weights that are given up.

    Recorded are the losses on the given labels, and as `kept` the target's value for the given label. `lid` and `alpha`
    are logged; α is 1 before the turning point.

    Samples without an estimate are left out: those with k neighbors in the same place, or all equally far away. Where
    no sample is left, or the features are not finite, LID_t is that of the previous epoch, as in the authors' code,
    with a warning. Among fewer than 128 samples, k is at most the number of others; the last samples do not count where
    each has fewer than two others.

    Args:
        problem: The task; the loss must take soft targets. Cross-entropy in the paper; symmetric cross-entropy in the
            authors' later code.
        init_epoch: Estimates >= 0 before the first window. In the authors' code 5 for MNIST, 20 for SVHN, 40 for
            CIFAR-10 and 60 for CIFAR-100; in an earlier version 10 for CIFAR-10 and 20 for CIFAR-100.
        window: w >= 1, estimates to compare with; 5 in the paper. With 1, any rise is a turning point.
        neighbours: k >= 2; 20 in the paper.
        samples: How many samples, >= 3, an estimate takes; 1280 in the authors' code.
        roll_back: Whether weights go back at the turning point, as in the paper. The authors' code loads what it saved
            at the end of the previous epoch. The network still has these weights, so it does not go back.

    Raises:
        InputError: The loss takes no soft targets, or trainer.max_epochs is not set.
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY

    seed: Tensor
    """(), int64: chooses the samples of an estimate, together with the epoch."""
    estimates: Tensor
    """(), int64: number of estimates so far."""
    recent: Tensor
    """(window + 1,) the last estimates, the newest last."""
    lowest: Tensor
    """(), the smallest of all estimates."""
    turning_epoch: Tensor
    """(), int64: epoch that began with the turning point; -1: not reached yet."""
    alpha: Tensor
    """(), α of the current epoch."""

    def __init__(
        self,
        problem: Problem,
        init_epoch: int = 40,
        window: int = 5,
        neighbours: int = 20,
        samples: int = 1280,
        roll_back: bool = True,
    ) -> None:
        check_range("init_epoch", init_epoch, "[0, inf)")
        check_range("window", window, "[1, inf)")
        check_range("neighbours", neighbours, "[2, inf)")
        check_range("samples", samples, "[3, inf)")
        problem.require_soft_targets()
        super().__init__(problem)
        self.before = copy.deepcopy(self.backbone).requires_grad_(False) if roll_back else None
        self.num_classes = problem.num_classes
        self.init_epoch, self.window, self.neighbours, self.samples = init_epoch, window, neighbours, samples
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("estimates", torch.zeros((), dtype=torch.long))
        self.register_buffer("recent", torch.zeros(window + 1))
        self.register_buffer("lowest", torch.zeros(()))
        self.register_buffer("turning_epoch", torch.full((), -1))
        self.register_buffer("alpha", torch.ones(()))

    @property
    def depends_on_length(self) -> bool:
        """α falls with the share of epochs done."""
        return True

    def scalars(self) -> dict[str, Tensor]:
        """Return the LID and α of the current epoch."""
        return {"lid": self.recent[-1], "alpha": self.alpha}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the first turning point is possible."""
        return {"init_epoch": self.init_epoch + self.window + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Estimate the LID, look for the turning point and set α."""
        if context.max_epochs < 1:
            raise InputError("trainer.max_epochs must be at least 1: D2L depends on the share of epochs done")
        random = torch.Generator().manual_seed(int(self.seed) + context.epoch)
        trained_on = (context.labels >= 0).nonzero().squeeze(1)
        index = trained_on[torch.randperm(len(trained_on), generator=random)[: self.samples]]
        self._note(mean_lid(context.predict(Penultimate(self.backbone), index=index), self.neighbours))
        if self.turning_epoch < 0 and self._rises():
            self.turning_epoch.fill_(context.epoch)
            if self.before is not None:
                self.backbone.load_state_dict(self.before.state_dict())
        if self.turning_epoch >= 0:
            self.alpha.copy_(torch.exp(-context.epoch / context.max_epochs * self.recent[-1] / self.lowest))
        elif self.before is not None:
            self.before.load_state_dict(self.backbone.state_dict())

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the loss on targets between given and predicted labels."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        given, predicted = (F.one_hot(k, self.num_classes).to(losses.dtype) for k in (label, logits.argmax(1)))
        target = self.alpha * given + (1 - self.alpha) * predicted
        return Step(batch_mean(self.loss(logits, target)), losses, logits, (target * given).sum(1))

    def _note(self, lid: float) -> None:
        """Remember an estimate, or the last one again where this is not a positive number."""
        if not 0 < lid < math.inf:
            warnings.warn("D2L: no dimension can be estimated, that of the previous epoch counts", stacklevel=2)
            if self.estimates == 0:
                return
            lid = self.recent[-1].item()
        self.recent.copy_(self.recent.roll(-1))
        self.recent[-1] = lid
        self.lowest.fill_(lid if self.estimates == 0 else min(lid, self.lowest.item()))
        self.estimates.add_(1)

    def _rises(self) -> bool:
        """Return whether the last estimate is far above those before it."""
        if self.estimates <= self.init_epoch + self.window:
            return False
        window = self.recent[:-1].double()
        return bool(self.recent[-1] - window.mean() > 2 * window.std(correction=0))


@final
class Penultimate(nn.Module):
    """What enters the last layer of a network, or the first of several last layers.

    Args:
        network: From images (B, C, H, W) to logits (B, K).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return the features (B, D) of images (B, C, H, W)."""
        return logits_and_features(self.network, image)[1]


def mean_lid(features: Tensor, neighbors: int) -> float:
    """Return the mean local intrinsic dimensionality of features (n, D), 128 at a time; NaN where there is none.

    Args:
        features: The order matters: neighbors are found among 128 rows that follow each other.
        neighbors: k >= 2.
    """
    lid = torch.cat([_lid(part, neighbors) for part in torch.split(features.double(), _BATCH)])
    return lid[lid.isfinite() & (lid > 0)].mean().item()


def _lid(features: Tensor, neighbors: int) -> Tensor:
    """Return the estimates (n,) of samples with features (n, D); one that is not finite, or negative, is none."""
    k = min(neighbors, len(features) - 1)
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.sort(1).values[:, 1 : k + 1]  # the first is the sample itself
    return -k / (nearest / nearest[:, -1:] + _SMALL).log().sum(1)
