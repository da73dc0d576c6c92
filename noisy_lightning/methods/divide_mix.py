"""DivideMix: Li, Socher and Hoi, ICLR 2020."""

import warnings
from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.inference import inferred
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.ramps import rise
from noisy_lightning.methods.parts.ranks import batch_mean, gather
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.semi_supervised import mixed_loss, negative_entropy, sharpened
from noisy_lightning.methods.parts.two_gaussians import two_groups
from noisy_lightning.types import Step, View


@final
class DivideMix(Method):
    """Two networks, each of which learns from the labels that the other trusts and treats all others as unlabeled.

    After a warm-up on all labels, each epoch begins with a division. For each network, two Gaussians are fitted to the
    losses of all training samples, and w is the probability that a sample belongs to the one with the lower mean. A
    sample with w > `threshold` by one network is labeled for the other network. Let p be the mean of the probabilities
    that a network itself gives to two views of an image, q that of the other network, and sharpen(p) ∝ p^(1/T). Then

    - a labeled sample has the target sharpen(w·label + (1 − w)·p), co-refinement;
    - an unlabeled one has the target sharpen((p + q) / 2), co-guessing.

    Each view is mixed with another of the batch, of either kind, and so are the targets. Its own share is
    max(l, 1 − l), where l ~ Beta(α, α) is drawn once for each network and batch. The loss is L_x + λ·L_u + L_reg: the
    mean loss on the targets of labeled views, the mean squared error of the probabilities for unlabeled ones, and
    KL(uniform ‖ mean probabilities). λ grows from 0 to λ_u in the `ramp` epochs after the warm-up, batch by batch.

    λ_u matters and depends on the noise (from the paper's appendix and its author's answers to questions):

    | given noise      | 20 % | 50 % | 80 % | 90 %, with threshold 0.6 | 40 % asymmetric         |
    | ---------------- | ---- | ---- | ---- | ------------------------ | ----------------------- |
    | CIFAR-10, λ_u =  | 0    | 25   | 25   | 50                       | 0                       |
    | CIFAR-100, λ_u = | 25   | 150  | 150  | 150                      | 150 (by others, C2D)    |

    The sum of both networks' logits is evaluated. Recorded are, for the first view before it is mixed, that sum and the
    mean of both losses on the given labels; and as `kept` the mean over both networks of w, or of 0 where a sample is
    unlabeled. On several ranks, all parts of a batch are mixed with each other: each rank gets the images of all, and
    the result is the same as on one rank.

    Deviations. The authors draw batches of 64 labeled samples, go through these once per epoch, and add 64 unlabeled
    ones to each batch, which they repeat if there are too few. Here a batch is any samples (128 to match), labeled and
    unlabeled as they come: each is seen once per epoch, and L_x and L_u are means over however many there are. An epoch
    is shorter than theirs where most samples are labeled, longer where few are. The authors train one network for an
    epoch, then the other, whose guesses come from the first as it is then; here both train on the same batches at the
    same time, with one optimizer. As in their code, a network makes its own guesses in training mode, and the other one
    contributes in eval mode. But here the own guesses for both views and both kinds pass through batch normalization as
    one batch, and they move its running statistics as mixed images do.

    Guards: a batch without labeled or without unlabeled samples has no such term. Where losses are not finite or all
    equal, all samples are labeled with w = 1 for an epoch, with a warning.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper. It also makes the division.
        warm_up: Epochs >= 0 on all given labels, first view only; 10 for CIFAR-10, 30 for CIFAR-100 in the paper.
        threshold: In [0, 1), what w must exceed; 0.5 in the paper, 0.6 for 90 % noise.
        temperature: T in (0, 1]; 0.5 in the paper.
        alpha: α > 0; 4 in the paper, 0.5 for Clothing1M.
        unlabelled_weight: λ_u >= 0, see above; 25 by default in the authors' code, 0 for Clothing1M.
        ramp: Epochs >= 0; 16 in the authors' code. 0: λ is λ_u at once.
        negative_entropy: Whether the warm-up adds the mean Σ p·log p, against overconfidence, as the authors do for
            asymmetric noise.
        average_last: Number of epochs >= 1, up to the current one, over which scaled losses are averaged before the
            division; 1, but 5 in the authors' code for 90 % noise.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    views: ClassVar[Sequence[View]] = ("weak", "weak")

    seed: Tensor
    """(), int64: seeds all mixing, together with the epoch and the place in it."""
    epoch: Tensor
    """(), int64: the current epoch."""
    served: Tensor
    """(), int64: samples seen in this epoch so far, on all ranks."""
    size: Tensor
    """(), int64: number of samples in the training part."""
    labelled: Tensor
    """(), share of the training part that is labeled; mean of both networks."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 10,
        threshold: float = 0.5,
        temperature: float = 0.5,
        alpha: float = 4.0,
        unlabelled_weight: float = 25.0,
        ramp: int = 16,
        negative_entropy: bool = False,
        average_last: int = 1,
    ) -> None:
        super().__init__()
        for name, value in {"warm_up": warm_up, "unlabelled_weight": unlabelled_weight, "ramp": ramp}.items():
            check_range(name, value, "[0, inf)")
        check_range("threshold", threshold, "[0, 1)")
        check_range("temperature", temperature, "(0, 1]")
        check_range("alpha", alpha, "(0, inf)")
        check_range("average_last", average_last, "[1, inf)")
        problem.require_soft_targets()
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        # What each network finds for the other one: w of each sample, and the scaled losses of the last epochs.
        self.by_first = SampleMemory(problem.num_samples, fill=1.0)
        self.by_second = SampleMemory(problem.num_samples, fill=1.0)
        self.losses_first = SampleMemory(problem.num_samples, average_last)
        self.losses_second = SampleMemory(problem.num_samples, average_last)
        self.loss, self.num_classes = problem.loss, problem.num_classes
        self.warm_up, self.threshold, self.temperature, self.alpha = warm_up, threshold, temperature, alpha
        self.unlabelled_weight, self.ramp = unlabelled_weight, ramp
        self.negative_entropy, self.average_last = negative_entropy, average_last
        self.register_buffer("seed", torch.randint(2**62, ()))
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
        """Return when the division begins and when λ reaches its end."""
        return {"warm_up": self.warm_up + 1, "ramp": self.warm_up + self.ramp}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Divide the training part, for each network."""
        trained_on = (context.labels >= 0).nonzero().squeeze(1).to(self.epoch.device)
        self.epoch.fill_(context.epoch)
        self.served.zero_()
        self.size.fill_(len(trained_on))
        if context.epoch < self.warm_up:
            return
        labels = context.labels.to(self.epoch.device)[trained_on]
        for network, weights, history in (
            (self.first, self.by_first, self.losses_first),
            (self.second, self.by_second, self.losses_second),
        ):
            losses = self.loss(context.predict(network).to(labels.device)[trained_on], labels)
            if losses.isfinite().all() and losses.min() < losses.max():
                history.values[trained_on, context.epoch % self.average_last] = scaled(losses)
                epochs = min(context.epoch - self.warm_up + 1, self.average_last)
                divided = low_loss_probability(history.read(trained_on).sum(1) / epochs)
            else:
                warnings.warn("DivideMix: the losses cannot be divided, all labels are used for an epoch", stacklevel=2)
                divided = torch.ones_like(losses)
            weights.values.index_copy_(0, trained_on, divided)
        both = torch.stack([self.by_first.read(trained_on), self.by_second.read(trained_on)])
        self.labelled.copy_((both > self.threshold).float().mean())

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on the given labels in the warm-up, then on mixed views of the whole batch."""
        if int(self.epoch) < self.warm_up:
            return self._step_of_warm_up(image[0], label)
        random = np.random.default_rng([int(self.seed), int(self.epoch), int(self.served)])
        unlabeled_weight = self._lambda()
        # A row is one view of one sample, first views first.
        images = image.flatten(0, 1)
        rows = (index * len(image) + torch.arange(len(image), device=index.device)[:, None]).flatten()
        everyone, everything = gather(rows), gather(images)
        self.served.add_(len(everyone) // len(image))
        other_of_first, other_of_second = inferred(self.second, images), inferred(self.first, images)
        given = F.one_hot(label, self.num_classes)
        loss, losses = torch.zeros((), device=image.device), torch.zeros((), device=image.device)
        logits, sample_weight = torch.zeros((), device=image.device), torch.zeros((), device=image.device)
        for network, other, memory in (
            (self.first, other_of_first, self.by_second),
            (self.second, other_of_second, self.by_first),
        ):
            with torch.no_grad():
                own = network(images)
            # Otherwise some releases of torch reuse the weights cast here, without gradient, in the next pass.
            torch.clear_autocast_cache()
            weights = memory.read(index)
            labeled = weights > self.threshold
            target = self._targets(own, other, given, weights, labeled).repeat(len(image), 1)
            mixup = Mixup(rows, everyone, self.alpha, random)
            loss = loss + mixed_loss(
                self.loss,
                network(mixup.of(everything)),
                mixup.of(gather(target)),
                labeled.repeat(len(image)),
                unlabeled_weight,
            )
            unmixed = own[: len(label)].detach()
            losses, logits = losses + self.loss(unmixed, label) / 2, logits + unmixed
            sample_weight = sample_weight + weights.where(labeled, 0) / 2
        return Step(loss, losses, logits, sample_weight)

    def _step_of_warm_up(self, image: Tensor, label: Tensor) -> Step:
        both = self.first(image), self.second(image)
        losses = [self.loss(logits, label) for logits in both]
        loss = batch_mean(losses[0]) + batch_mean(losses[1])
        if self.negative_entropy:
            loss = loss + sum(batch_mean(negative_entropy(logits)) for logits in both)
        return Step(loss, (losses[0] + losses[1]) / 2, both[0] + both[1], torch.ones_like(label, dtype=torch.float))

    def _targets(self, own: Tensor, other: Tensor, given: Tensor, weights: Tensor, labeled: Tensor) -> Tensor:
        """Return the targets (B, K), by co-refinement or co-guessing; logits are (views · B, K)."""
        p, q = (
            log_probabilities(logits).exp().view(len(self.views), -1, self.num_classes).mean(0)
            for logits in (own, other)
        )
        share = weights[:, None].to(p.dtype)
        target = torch.where(labeled[:, None], share * given + (1 - share) * p, (p + q) / 2)
        return sharpened(target, self.temperature)

    def _lambda(self) -> float:
        """Return λ at the current place of the epoch."""
        epochs = int(self.epoch) - self.warm_up + int(self.served) / max(1, int(self.size))
        return self.unlabelled_weight * rise(epochs, self.ramp)


def scaled(losses: Tensor) -> Tensor:
    """Return the losses (n,) scaled so that the smallest is 0 and the largest 1."""
    low, high = losses.aminmax()
    return (losses - low) / (high - low)


def low_loss_probability(losses: Tensor) -> Tensor:
    """Return how likely each of the losses (N,), in [0, 1], belongs to the lower of two Gaussians fitted to them."""
    return torch.from_numpy(two_groups(losses.double().cpu().numpy()).low).to(losses)
