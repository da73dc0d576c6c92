"""UNICON: Karim, Rizve, Rahnavard, Mian and Shah, CVPR 2022."""

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.class_quotas import smallest_of_classes
from noisy_lightning.methods.parts.contrastive import instance_contrast, number_on_all_ranks
from noisy_lightning.methods.parts.features import logits_and_features
from noisy_lightning.methods.parts.inference import inferred
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.projection import Projection
from noisy_lightning.methods.parts.ramps import rise
from noisy_lightning.methods.parts.ranks import gather
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.semi_supervised import mixed_loss, sharpened
from noisy_lightning.methods.parts.warm_up import warm_up_step
from noisy_lightning.types import Step, View


@final
class UNICON(Method):
    """`DivideMix` with the same number of labels of each class, and contrast of the images that are left without one.

    After a warm-up on all labels, each epoch begins with a selection for both networks. d is the Jensen-Shannon
    divergence, in [0, ln 2], between the mean of their probabilities and the given label. R is the share of samples for
    which d is below its mean. Of each given class, the R·N/K samples with the smallest d are labeled, all others are
    unlabeled. w is 1 where d < 0.5, else 1 − d. Let p be the mean of the probabilities that a network itself gives to
    two weak views, q that of the other network, and sharpen(p) ∝ p^(1/T). The target of a labeled sample is
    sharpen(w·label + (1 − w)·p), that of an unlabeled one sharpen((p + q) / 2).

    With these targets, two strong views of each image are mixed as in DivideMix, and the loss of a network is

        L_x + λ·L_u + L_reg + λ_c·L_con,

    where the first three are DivideMix's, λ grows from 0 to λ_u in the `ramp` epochs after the warm-up, batch by batch,
    and L_con is SimCLR's contrast, with temperature 0.05, of the two strong views of unlabeled images, by a linear
    projection to 128 numbers with batch normalization.

    The sum of both networks' logits is evaluated. Recorded are, for the first weak view, that sum and the mean of both
    losses on the given labels; as `kept` w, or 0 where a sample is unlabeled. On several ranks the whole batch is mixed
    and contrasted, as on one rank.

    Deviations. The authors draw batches of 64 labeled samples, go through these once per epoch, and add 32 / R others
    (64 / R at 90 % noise, by an answer of theirs), which repeat if there are too few. Here a batch is any samples (128
    to match), labeled and unlabeled as they come: each is seen once per epoch, and each term is a mean over however
    many there are. The authors train one network for an epoch, select anew, with that network in training mode, and
    train the other; here both train on the same batches at the same time, after one selection in eval mode. Own guesses
    for both views and both kinds pass through batch normalization as one batch.
    What a small class lacks of its quota, and what rounding leaves, their code fills with the first sample of the data
    set, over and over; here each sample is labeled once at most. Their second rule for the threshold, for a mean d
    above 0.7, is left out, since d cannot exceed ln 2 = 0.693.

    Guards: a batch without labeled or without unlabeled samples has no such term, and one unlabeled sample is not
    contrasted. Where predictions are not finite, no sample is labeled for an epoch.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper.
        warm_up: Epochs >= 0 on all given labels, first view only; 10 for CIFAR-10, 30 for CIFAR-100 in the paper.
        temperature: T in (0, 1]; 0.5 in the paper.
        alpha: α > 0 of the mixing; 4 in the paper.
        unlabelled_weight: λ_u >= 0; 30 in the paper.
        ramp: Epochs >= 0; 16 in the authors' code. 0: λ is λ_u at once.
        contrast_weight: λ_c >= 0; 0.025 in the paper.
        contrast_temperature: > 0; 0.05.
        negative_entropy: Whether the warm-up adds the mean Σ p·log p, against overconfidence, as the authors do for
            asymmetric noise.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range, or the network does not end in a linear layer.
    """

    views: ClassVar[Sequence[View]] = ("weak", "weak", "strong", "strong")

    seed: Tensor
    """(), int64: seeds all mixing, together with the epoch and the place in it."""
    epoch: Tensor
    """(), int64: the current epoch."""
    served: Tensor
    """(), int64: samples seen in this epoch so far, on all ranks."""
    size: Tensor
    """(), int64: number of samples in the training part."""
    labelled: Tensor
    """(), share of the training part that is labeled."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 10,
        temperature: float = 0.5,
        alpha: float = 4.0,
        unlabelled_weight: float = 30.0,
        ramp: int = 16,
        contrast_weight: float = 0.025,
        contrast_temperature: float = 0.05,
        negative_entropy: bool = False,
    ) -> None:
        super().__init__()
        weights = {"unlabelled_weight": unlabelled_weight, "contrast_weight": contrast_weight}
        for name, value in {"warm_up": warm_up, "ramp": ramp, **weights}.items():
            check_range(name, value, "[0, inf)")
        check_range("temperature", temperature, "(0, 1]")
        check_range("alpha", alpha, "(0, inf)")
        check_range("contrast_temperature", contrast_temperature, "(0, inf)")
        problem.require_soft_targets()
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.projection_first, self.projection_second = Projection(self.first, 128), Projection(self.second, 128)
        self.weights = SampleMemory(problem.num_samples, fill=1.0)  # w; 0 where a sample is unlabeled
        self.loss, self.num_classes = problem.loss, problem.num_classes
        self.warm_up, self.temperature, self.alpha, self.ramp = warm_up, temperature, alpha, ramp
        self.unlabelled_weight, self.negative_entropy = unlabelled_weight, negative_entropy
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        for name in ("epoch", "served", "size"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))
        self.register_buffer("labelled", torch.ones(()))

    def forward(self, image: Tensor) -> Tensor:
        """Return the sum of both networks' logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.first(image) + self.second(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return each network."""
        return {"first": self.first, "second": self.second}

    def scalars(self) -> dict[str, Tensor]:
        """Return `labelled`, the share of labels in use, and `unlabelled_weight`, λ."""
        return {"labelled": self.labelled, "unlabelled_weight": self.labelled.new_tensor(self._lambda())}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the selection begins and when λ reaches its end."""
        return {"warm_up": self.warm_up + 1, "ramp": self.warm_up + self.ramp}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Select labels, for both networks."""
        trained_on = (context.labels >= 0).nonzero().squeeze(1).to(self.epoch.device)
        self.epoch.fill_(context.epoch)
        self.served.zero_()
        self.size.fill_(len(trained_on))
        if context.epoch < self.warm_up:
            return
        labels = context.labels.to(self.epoch.device)[trained_on]
        logits = [context.predict(network).to(labels.device)[trained_on] for network in (self.first, self.second)]
        p = (log_probabilities(logits[0]).exp() + log_probabilities(logits[1]).exp()) / 2
        divergence = jensen_shannon(p, F.one_hot(labels, self.num_classes).to(p))
        share = int((divergence < divergence.mean()).sum()) / len(labels)
        quota = int(share * len(labels) / self.num_classes)
        labeled = smallest_of_classes(divergence, labels, self.num_classes, quota) & divergence.isfinite()
        weights = torch.where(divergence < 0.5, 1.0, 1 - divergence)
        self.weights.values[trained_on] = weights.where(labeled, 0).to(self.weights.values.dtype)
        self.labelled.copy_(labeled.float().mean())

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on the given labels in the warm-up, then on mixed strong views, with targets from weak ones."""
        sides = (self.first, self.projection_first), (self.second, self.projection_second)
        if int(self.epoch) < self.warm_up:
            both = self.first(image[0]), self.second(image[0])
            step = warm_up_step(self.loss, both, label, self.negative_entropy)
            nothing = self.projection_first.nothing() + self.projection_second.nothing()
            return step._replace(loss=step.loss + nothing, logits=both[0] + both[1])
        random = np.random.default_rng([int(self.seed), int(self.epoch), int(self.served)])
        unlabeled_weight = self._lambda()
        # A row is one view of one sample, first views first.
        weak, strong = image[:2].flatten(0, 1), image[2:].flatten(0, 1)
        rows = (2 * index + torch.arange(2, device=index.device)[:, None]).flatten()
        everyone, everything = gather(rows), gather(strong)
        self.served.add_(len(everyone) // 2)
        others = inferred(self.second, weak), inferred(self.first, weak)
        weights = self.weights.read(index)
        labeled = weights > 0
        loss, losses = torch.zeros((), device=image.device), torch.zeros((), device=image.device)
        logits = torch.zeros((), device=image.device)
        for (network, projection), other in zip(sides, others, strict=True):
            with torch.no_grad():
                own = network(weak)
            # Otherwise some releases of torch reuse the weights cast here, without gradient, in the next pass.
            torch.clear_autocast_cache()
            target = self._targets(own, other, label, weights).repeat(2, 1)
            contrast = self._contrast(network, projection, image[2:, ~labeled])
            mixup = Mixup(rows, everyone, self.alpha, random)
            mixed = network(mixup.of(everything))
            targets = mixup.of(gather(target))
            loss = loss + mixed_loss(self.loss, mixed, targets, labeled.repeat(2), unlabeled_weight) + contrast
            unmixed = own[: len(label)]
            losses, logits = losses + self.loss(unmixed, label) / 2, logits + unmixed
        return Step(loss, losses, logits, weights.float())

    def _targets(self, own: Tensor, other: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Return the targets (B, K), by refining or by guessing; logits are (2·B, K)."""
        p, q = (log_probabilities(logits).exp().view(2, -1, self.num_classes).mean(0) for logits in (own, other))
        share = weights[:, None].to(p.dtype)
        refined = share * F.one_hot(label, self.num_classes) + (1 - share) * p
        return sharpened(torch.where(share > 0, refined, (p + q) / 2), self.temperature)

    def _contrast(self, network: nn.Module, projection: Projection, strong: Tensor) -> Tensor:
        """Return λ_c·L_con () of this rank's unlabeled images in two strong views (2, n, C, H, W)."""
        unlabeled = torch.ones(strong.shape[1], dtype=torch.bool, device=strong.device)
        if number_on_all_ranks(unlabeled) < 2:
            return projection.nothing()
        first, second = (projection(self._features(network, projection, view)) for view in strong)
        return self.contrast_weight * instance_contrast(first, second, self.contrast_temperature)

    def _features(self, network: nn.Module, projection: Projection, image: Tensor) -> Tensor:
        if not len(image):
            return projection.linear.weight.new_zeros(0, projection.linear.in_features)
        return logits_and_features(network, image)[1]

    def _lambda(self) -> float:
        """Return λ at the current place of the epoch."""
        epochs = int(self.epoch) - self.warm_up + int(self.served) / max(1, int(self.size))
        return self.unlabelled_weight * rise(epochs, self.ramp)


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence (n,), in [0, ln 2], of probabilities (n, K) each.

    1e-10 is added to numerators and denominators, as in the authors' code.
    """
    middle = (p + q) / 2
    return (_divergence(p, middle) + _divergence(q, middle)) / 2


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    return (p * ((p + 1e-10) / (q + 1e-10)).log()).sum(1)
