"""DISC, dynamic instance-specific selection and correction: Li, Han, Shan and Chen, CVPR 2023."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.batch_random import BatchRandom
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean, gather, weighted_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.soft_targets import moved
from noisy_lightning.types import Step, View


@final
class DISC(OneNetwork):
    """One network that compares, sample by sample, how sure it is now with how sure it has been of that very image.

    Each image comes in a weak and in a strong view, with probabilities p_w and p_s. For either view, a sample has a
    threshold τ of its own, which at the end of each epoch moves toward its confidence: τ ← m·τ + (1 − m)·max p. Before
    that, the end of an epoch divides the training part for the next one, by the p of this epoch's steps:

    - clean: p_w and p_s of the given label are above τ_w and τ_s;
    - hard: exactly one of them is;
    - purified: none is, but the largest mean of p_w and p_s is above min((τ_w + τ_s) / 2 + σ, 0.99); its class is then
      the label.

    After a warm-up on both views of all samples, the loss is, over a batch of B samples,

        (1 / B) Σ_clean (CE_w + CE_s) + λ_h · (1 / B) Σ_hard (GCE_w + GCE_s) + mean MixUp_w + mean MixUp_s,

    where GCE is generalized cross-entropy and MixUp the cross-entropy of samples of the three sets that are mixed with
    each other, images and labels alike. The own share of a sample is max(l, 1 − l), l ~ Beta(α, α), drawn for each view
    and batch, as is the permutation. On several ranks, all parts of a batch are mixed with each other.

    The authors choose these by the noise:

    | noise                                    | m    | λ_h | σ              |
    | ---------------------------------------- | ---- | --- | -------------- |
    | CIFAR, symmetric, 20 %                   | 0.99 | 1   | 0.3 or 0.5     |
    | CIFAR, symmetric, 50 %                   | 0.99 | 1   | 0.5            |
    | CIFAR, 60 and 80 % of any kind           | 0.95 | 0.2 | 0.5            |
    | CIFAR, asymmetric; Food-101N, Clothing1M | 0.95 | 1   | 0.5            |

    The σ of their code is 0.5; one of them recommends 0.3 for low noise.

    Recorded are the losses and logits of the weak view; and as `kept` whether a sample is clean or hard, which are
    those that learn the given label. `clean`, `hard` and `purified` are logged: the shares of the sets that the end of
    the epoch has made.

    Deviations: as in the authors' code, τ starts at 1/N, where N is the number of samples, and not at 1/K as in the
    paper. The authors choose the optimizer by the noise, too: see the configurations. Their crops mirror the image at
    its border; those of this package are of an image with zeros around it.

    Guards: a batch without samples of a kind has no such term, and one with a single sample of the three sets, which
    has none to be mixed with, no MixUp. What a step with probabilities that are NaN says of a sample is forgotten.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper, for all but the hard samples.
        warm_up: Epochs >= 0 on all given labels; 20 in the authors' code, 15 for instance-dependent noise.
        momentum: m in [0, 1), see above.
        sigma: σ >= 0, see above.
        hard_weight: λ_h >= 0, see above.
        q: Of generalized cross-entropy, in (0, 1]; 0.7 in the paper.
        alpha: α > 0; 5 in the authors' code.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    views: ClassVar[Sequence[View]] = ("weak", "strong")

    epoch: Tensor
    """(), int64: the current epoch."""
    shares: Tensor
    """(3,) of the training part: clean, hard, purified."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 20,
        momentum: float = 0.99,
        sigma: float = 0.5,
        hard_weight: float = 1.0,
        q: float = 0.7,
        alpha: float = 5.0,
    ) -> None:
        for name, value in {"warm_up": warm_up, "sigma": sigma, "hard_weight": hard_weight}.items():
            check_range(name, value, "[0, inf)")
        check_range("momentum", momentum, "[0, 1)")
        check_range("alpha", alpha, "(0, inf)")
        problem.require_soft_targets()
        super().__init__(problem)
        samples, classes = problem.num_samples, problem.num_classes
        self.hard_loss = GeneralizedCrossEntropy(q)
        self.num_classes, self.warm_up, self.momentum = classes, warm_up, momentum
        self.sigma, self.hard_weight, self.alpha = sigma, hard_weight, alpha
        self.random = BatchRandom()
        self.p_weak, self.p_strong = SampleMemory(samples, classes), SampleMemory(samples, classes)
        self.tau_weak, self.tau_strong = (SampleMemory(samples, fill=1 / samples) for _ in range(2))
        self.clean, self.hard, self.purified = (SampleMemory(samples, dtype=torch.bool) for _ in range(3))
        self.labels = SampleMemory(samples, dtype=torch.long)
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("shares", torch.zeros(3))

    def scalars(self) -> dict[str, Tensor]:
        """Return the shares of the three sets."""
        return dict(zip(("clean", "hard", "purified"), self.shares, strict=True))

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the sets begin to count."""
        return {"warm_up": self.warm_up + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Note which epoch it is."""
        self.epoch.fill_(context.epoch)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on both views of all samples in the warm-up, then of each set as it deserves."""
        weak, strong = self.backbone(image[0]), self.backbone(image[1])
        for memory, logits in ((self.p_weak, weak), (self.p_strong, strong)):
            memory.write(index, moved(memory.read(index), log_probabilities(logits).exp(), 0.0))
        losses = self.loss(weak, label)
        trusting = losses + self.loss(strong, label)
        if int(self.epoch) < self.warm_up:
            return Step(batch_mean(trusting), losses, weak, torch.ones_like(label, dtype=torch.bool))
        clean, hard = self.clean.read(index), self.hard.read(index)
        robust = self.hard_loss(weak, label) + self.hard_loss(strong, label)
        loss = batch_mean(trusting * clean + self.hard_weight * robust * hard)
        random = self.random.next()
        for view in image:
            loss = loss + self._mixed(view, index, random)
        return Step(loss, losses, weak, clean | hard)

    def on_epoch_end(self, context: EpochContext) -> None:
        """Divide the training part by the thresholds as they are, then move them."""
        labels = context.labels.to(self.epoch.device)
        index = (labels >= 0).nonzero().squeeze(1)
        p_weak, p_strong = self.p_weak.read(index), self.p_strong.read(index)
        tau_weak, tau_strong = self.tau_weak.read(index), self.tau_strong.read(index)
        sets = divided(p_weak, p_strong, tau_weak, tau_strong, labels[index], self.sigma)
        for memory, values in zip((self.clean, self.hard, self.purified, self.labels), sets, strict=True):
            memory.values.index_copy_(0, index, values)
        self.shares.copy_(torch.stack([members.float().mean() for members in sets[:3]]))
        for memory, tau, p in ((self.tau_weak, tau_weak, p_weak), (self.tau_strong, tau_strong, p_strong)):
            memory.values.index_copy_(0, index, moved(tau, p.amax(1), self.momentum))

    def _mixed(self, view: Tensor, index: Tensor, random: np.random.Generator) -> Tensor:
        """Return this rank's part of the mean loss of mixed samples (), of one view (B, C, H, W); see `batch_mean`."""
        everyone, everything = gather(index), gather(view)
        in_a_set = self.clean.read(everyone) | self.hard.read(everyone) | self.purified.read(everyone)
        everyone, everything = everyone[in_a_set], everything[in_a_set]
        if len(everyone) < 2:
            return torch.zeros((), device=view.device)
        mixup = Mixup(index[torch.isin(index, everyone)], everyone, self.alpha, random)
        losses = torch.zeros(0, device=view.device)
        if len(mixup.own):
            target = F.one_hot(self.labels.read(everyone), self.num_classes)
            losses = self.loss(self.backbone(mixup.of(everything)), mixup.of(target))
        return weighted_mean(losses, torch.ones_like(losses))


class Sets(NamedTuple):
    """Which samples are in the three sets, none in two of them, and the labels to train them on."""

    clean: Tensor
    """(n,) bool."""
    hard: Tensor
    """(n,) bool."""
    purified: Tensor
    """(n,) bool."""
    labels: Tensor
    """(n,) the given ones; predicted ones of the purified."""


def divided(
    p_weak: Tensor, p_strong: Tensor, tau_weak: Tensor, tau_strong: Tensor, labels: Tensor, sigma: float
) -> Sets:
    """Return the sets of samples.

    Args:
        p_weak: (n, K) probabilities of the weak views.
        p_strong: (n, K) of the strong ones.
        tau_weak: (n,) thresholds of the weak views.
        tau_strong: (n,) of the strong ones.
        labels: (n,) given labels.
        sigma: By how much a prediction must be above the mean threshold to replace the label.
    """
    given = labels[:, None]
    sure_weak = p_weak.gather(1, given).squeeze(1) > tau_weak
    sure_strong = p_strong.gather(1, given).squeeze(1) > tau_strong
    confidence, predicted = ((p_weak + p_strong) / 2).max(1)
    needed = ((tau_weak + tau_strong) / 2 + sigma).clamp(max=0.99)
    purified = ~(sure_weak | sure_strong) & (confidence > needed)
    return Sets(sure_weak & sure_strong, sure_weak ^ sure_strong, purified, predicted.where(purified, labels))
