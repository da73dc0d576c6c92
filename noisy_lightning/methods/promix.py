"""ProMix: Xiao, Dong, Wang, Feng, Wu, Chen and Zhao, IJCAI 2023."""

import math
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import at_label, log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.agreement import joining
from noisy_lightning.methods.parts.class_prior import ClassPrior
from noisy_lightning.methods.parts.class_quotas import smallest_of_classes
from noisy_lightning.methods.parts.fmix import FMix
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.pseudo_head import PseudoHead
from noisy_lightning.methods.parts.ramps import rise
from noisy_lightning.methods.parts.ranks import gather, total, weighted_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.semi_supervised import sharpened
from noisy_lightning.methods.parts.warm_up import warm_up_step
from noisy_lightning.types import Step, View


@final
class ProMix(Method):
    """Two networks that use as many labels as can be trusted, and debias what they guess of the others.

    Each network has its classifier h and a pseudo head g on the same features. After a warm-up of h on all labels, a
    network selects a sample if

    - its loss, on the image as it is, is among the ⌈ρ·N/K⌉ smallest of its given class before the epoch, or
    - the probability of its given label, on the weak view, exceeds τ (`threshold`), or
    - in the last `guessing_epochs` epochs: both networks predict the same class for it, each with more than τ. These
      come in order of their mean confidence, until 0.9 of the batch are selected. Such a sample has the class that the
      network predicts after debiasing as its label.

    π is the moving average of a network's mean probabilities on selected samples, π' that on the others. Losses are
    those of logits + α·log π, guesses are made by logits − α·log π. A head learns from the selected samples

        loss(weak) + w·[loss(strong) + MixUp + FMix],

    where both mixtures are of weak views of selected samples, with draws of their own for each head and network: MixUp
    with a share of max(l, 1 − l), l ~ Beta(4, 4), FMix with a share l ~ Beta(1, 1). The pseudo head alone also learns
    from the samples that are not selected, β·[loss(weak) + w·loss(strong)], by the sharpened probabilities that h gives
    to the weak view after debiasing; both parts use π' there. ρ and w go to their ends over the first `ramp` epochs,
    the warm-up included; β rises to `unlabelled_weight` over `unlabelled_ramp` epochs, and is 0 from then on.

    Recipes of the authors for CIFAR: warm-up 10, τ = 0.99, α = 0.8 for CIFAR-10; 30, 0.95, 0.5 for CIFAR-100. ρ = 0.7
    for 20 % symmetric noise, 0.5 for 50 %, for 40 % asymmetric, and for all of CIFAR-10N and CIFAR-100N.

    The mean of both networks' h is evaluated, as on the authors' console; their log file has the first network's g.
    Recorded are, for the weak view, that mean and the mean of both losses of h on given labels; as `kept` the share of
    networks that selected the sample with its given label. On several ranks the batch is selected from, guessed in, and
    mixed as a whole.

    Deviations: the authors' penalty for asymmetric noise clamps logits; here nothing is clamped. Weight decay acts on
    the pseudo heads in the warm-up, too. For noise that depends on the image, the author advises quotas of ρ·n_c for a
    class of n_c samples, and predicted classes after 50 epochs; here quotas are equal. FMix is that of its paper, see
    `low_frequency_mask`. An empty part of a batch has no loss and moves no average.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper. It also ranks the samples.
        warm_up: Epochs >= 0 on all given labels, weak view only.
        keep_start: ρ in (0, 1] at first.
        keep_end: ρ in (0, 1] in the end.
        ramp: Epochs >= 0 in which ρ and w change, from the first one on; 50 in the authors' code.
        threshold: τ in [0, 1).
        guessing_epochs: How many epochs at the end of the run guess labels, >= 0; 250 of 600 in the authors' code.
        debias: α >= 0.
        momentum: In [0, 1), of π and π'; 0.9999.
        temperature: T in (0, 1] of sharpening; 0.5.
        unlabelled_weight: β >= 0 in the end; 0.1.
        unlabelled_ramp: Epochs >= 0 in which β rises, from the first one on; 100.
        unlabelled_ends: Whether β is 0 after its rise, as in the authors' code; otherwise it stays.
        negative_entropy: Whether the warm-up adds the mean Σ p·log p, as the authors do for asymmetric noise.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range, or the network does not end in a linear layer.
    """

    views: ClassVar[Sequence[View]] = ("weak", "strong")

    seed: Tensor
    """(), int64: seeds all mixing, together with the epoch and the place in it."""
    epoch: Tensor
    """(), int64: the current epoch."""
    guessing: Tensor
    """(), bool: whether this epoch guesses labels."""
    served: Tensor
    """(), int64: samples seen in this epoch so far, on all ranks."""
    counts: Tensor
    """(2,), int64: how often a network has selected one of them, and with a guessed label."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 10,
        keep_start: float = 0.5,
        keep_end: float = 0.5,
        ramp: int = 50,
        threshold: float = 0.99,
        guessing_epochs: int = 250,
        debias: float = 0.8,
        momentum: float = 0.9999,
        temperature: float = 0.5,
        unlabelled_weight: float = 0.1,
        unlabelled_ramp: int = 100,
        unlabelled_ends: bool = True,
        negative_entropy: bool = False,
    ) -> None:
        super().__init__()
        counts = {
            "warm_up": warm_up,
            "ramp": ramp,
            "guessing_epochs": guessing_epochs,
            "unlabelled_ramp": unlabelled_ramp,
        }
        for name, value in {**counts, "debias": debias, "unlabelled_weight": unlabelled_weight}.items():
            check_range(name, value, "[0, inf)")
        for name, value in {"keep_start": keep_start, "keep_end": keep_end, "temperature": temperature}.items():
            check_range(name, value, "(0, 1]")
        check_range("threshold", threshold, "[0, 1)")
        check_range("momentum", momentum, "[0, 1)")
        problem.require_soft_targets()
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.of_first, self.of_second = (_Side(network, problem, momentum) for network in (self.first, self.second))
        self.loss, self.num_classes = problem.loss, problem.num_classes
        self.warm_up, self.keep_start, self.keep_end, self.ramp = warm_up, keep_start, keep_end, ramp
        self.threshold, self.guessing_epochs, self.debias = threshold, guessing_epochs, debias
        self.temperature, self.negative_entropy, self.unlabelled_ends = temperature, negative_entropy, unlabelled_ends
        self.unlabelled_weight, self.unlabelled_ramp = unlabelled_weight, unlabelled_ramp
        for name, kind in {"epoch": torch.long, "served": torch.long, "guessing": torch.bool}.items():
            self.register_buffer(name, torch.zeros((), dtype=kind))
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long))

    @property
    def depends_on_length(self) -> bool:
        """Whether some epochs guess labels, which are the last ones."""
        return self.guessing_epochs > 0

    def forward(self, image: Tensor) -> Tensor:
        """Return the mean of both networks' logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = (self.first(image) + self.second(image)) / 2
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return each network."""
        return {"first": self.first, "second": self.second}

    def scalars(self) -> dict[str, Tensor]:
        """Return the shares of samples `selected`, and `guessed` among them, of this epoch; means of both networks."""
        selected, guessed = self.counts / (2 * self.served.clamp(min=1))
        return {"selected": selected, "guessed": guessed}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the selection begins, when ρ, w and β reach their ends, and what guessing needs."""
        ends = {"warm_up": self.warm_up + 1, "ramp": self.ramp, "unlabelled_ramp": self.unlabelled_ramp}
        return {**ends, "guessing_epochs": self.warm_up + self.guessing_epochs}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Select the small losses of each class, for each network."""
        self.epoch.fill_(context.epoch)
        self.served.zero_()
        self.counts.zero_()
        self.guessing.fill_(self.guessing_epochs > 0 and context.epoch >= context.max_epochs - self.guessing_epochs)
        if context.epoch < self.warm_up:
            return
        trained_on = (context.labels >= 0).nonzero().squeeze(1).to(self.epoch.device)
        labels = context.labels.to(self.epoch.device)[trained_on]
        keep = self.keep_start + (self.keep_end - self.keep_start) * rise(context.epoch, self.ramp)
        quota = max(1, math.ceil(len(labels) / self.num_classes * keep))
        for network, side in self._sides():
            losses = self.loss(context.predict(network).to(labels.device)[trained_on], labels)
            side.small.values[trained_on] = smallest_of_classes(losses, labels, self.num_classes, quota)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train h on the given labels in the warm-up, then both heads on what is selected and guessed."""
        weak, strong = image
        heads = [side.heads(network, weak) for network, side in self._sides()]
        if int(self.epoch) < self.warm_up:
            step = warm_up_step(self.loss, [h for h, _ in heads], label, self.negative_entropy)
            # Several ranks wait for the gradient of every weight, so that of the pseudo heads is 0.
            return step._replace(loss=step.loss + 0 * sum(g.sum() for _, g in heads))
        random = np.random.default_rng([int(self.seed), int(self.epoch), int(self.served)])
        everyone, images = gather(index), gather(weak)
        self.served.add_(len(everyone))
        p = [log_probabilities(h.detach()).exp() for h, _ in heads]
        loss, sample_weight = torch.zeros((), device=image.device), torch.zeros(len(label), device=image.device)
        for (network, side), (h, g), own in zip(self._sides(), heads, p, strict=True):
            selected = side.small.read(index) | (at_label(own, label) > self.threshold)
            guessed = joining(p[0], p[1], selected, self.threshold, index) & self.guessing
            guess = (h.detach() - self.debias * side.selected.log()).argmax(1)
            target, selected = torch.where(guessed, guess, label), selected | guessed
            side.selected.follow(own, selected)
            side.others.follow(own, ~selected)
            loss = loss + self._loss(side, (h, g), side.heads(network, strong), target, selected)
            ours = gather(selected.byte()).bool()
            if ours.any():
                pool = everyone[ours], images[ours], gather(target)[ours]
                loss = loss + self._mixed_loss(side, network, index[selected], pool, random)
            sample_weight += (selected & (target == label)) / 2
            self.counts += torch.stack([ours.sum(), total(guessed.sum())])
        first, second = (h.detach() for h, _ in heads)
        losses = (self.loss(first, label) + self.loss(second, label)) / 2
        return Step(loss, losses, (first + second) / 2, sample_weight)

    def _sides(self) -> tuple[tuple[nn.Module, "_Side"], ...]:
        return (self.first, self.of_first), (self.second, self.of_second)

    def _loss(
        self, side: "_Side", weak: Sequence[Tensor], strong: Sequence[Tensor], target: Tensor, selected: Tensor
    ) -> Tensor:
        """Return a network's loss () on images that are not mixed; both views have logits of h and of g."""
        w, loss = rise(int(self.epoch), self.ramp), torch.zeros((), device=target.device)
        shift, other_shift = self.debias * side.selected.log(), self.debias * side.others.log()
        for on_weak, on_strong in zip(weak, strong, strict=True):
            losses = self.loss(on_weak + shift, target) + w * self.loss(on_strong + shift, target)
            loss = loss + weighted_mean(losses, selected)
        pseudo = sharpened(log_probabilities(weak[0].detach() - other_shift).exp(), self.temperature)
        losses = self.loss(weak[1] + other_shift, pseudo) + w * self.loss(strong[1] + other_shift, pseudo)
        beta = self.unlabelled_weight * rise(int(self.epoch), self.unlabelled_ramp, self.unlabelled_ends)
        return loss + beta * weighted_mean(losses, ~selected)

    def _mixed_loss(
        self, side: "_Side", network: nn.Module, own: Tensor, pool: Sequence[Tensor], random: np.random.Generator
    ) -> Tensor:
        """Return the loss () of both heads on a rank's own samples, mixed in two ways with all ranks' in the pool."""
        (everyone, images, target), loss = pool, torch.zeros((), device=own.device)
        for head in range(2):
            for mix in (Mixup(own, everyone, 4.0, random), FMix(own, everyone, images.shape[-2:], 1.0, random)):
                losses = images.new_zeros(0)
                if len(own):
                    logits = side.heads(network, mix.of(images))[head] + self.debias * side.selected.log()
                    mine, others = self.loss(logits, target[mix.own]), self.loss(logits, target[mix.partner])
                    losses = mix.share * mine + (1 - mix.share) * others
                loss = loss + weighted_mean(losses, torch.ones_like(losses))
        return rise(int(self.epoch), self.ramp) * loss


class _Side(nn.Module):
    """What a network has beside itself: its pseudo head, what it selects, and which classes it prefers."""

    def __init__(self, network: nn.Module, problem: Problem, momentum: float) -> None:
        super().__init__()
        self.heads = PseudoHead(network)
        self.small = SampleMemory(problem.num_samples, dtype=torch.bool)
        self.selected, self.others = (ClassPrior(problem.num_classes, momentum) for _ in range(2))
