"""CAL, a second-order approach to instance-dependent label noise: Zhu, Liu and Liu, CVPR 2021."""

from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.all_labels import losses_of_all_labels
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.snapshot import Snapshot
from noisy_lightning.methods.sample_selection_cores import beta_at
from noisy_lightning.types import Step

# Added to probabilities in the loss of the given label, and in those of all labels.
_LEAST, _LEAST_OF_ALL = 1e-8, 1e-5


@final
class CAL(OneNetwork):
    """One network that learns twice: to guess true labels, then without what noise that depends on images adds.

    Both phases minimize ℓ(ỹ) − α·Σ_k P̃_k ℓ(k), the loss of CORES² (`SampleSelectionCORES`), which is less the surer the
    network is. α is 0 for `warm_up` epochs of a phase and then grows over `ramp` epochs to `alpha`, in the second phase
    to `second_alpha`. P̃ are the shares of given labels, in the first phase their square roots, divided by their sum.

    In epoch `sieve_epoch` the first phase ends. In it each sample gets a distilled label: the given one where
    ℓ(ỹ) − mean_k ℓ(k) < `threshold`, else the predicted one, as the network sees it in training at that moment.

    The second phase, with the network's first weights again, also subtracts

        Σ_i P_i · mean over samples of distilled label i of Σ_j (1[ỹ = j] − T[i, j])·(ℓ(j) − m[i, j]),

    an estimate of the covariance between which labels are given and what they cost, within a class, which is 0 for
    noise that depends on the class alone. P_i is the share of distilled label i, T[i, j] is P(given = j | distilled =
    i), and m[i, j] the mean of ℓ(j) over samples of distilled label i in the previous epoch, 0 in the first.

    In ℓ(ỹ), and where labels are distilled, 1e-8 is added to each probability, else 1e-5, and the sum divided away.
    Logged are `alpha`, and in the second phase `relabelled`, the share of distilled labels that are not the given
    ones. T is written to `result.json` and drawn in TensorBoard. Recorded are the plain losses.

    Deviations: the authors train twice, for 100 epochs each; here one run holds the first phase up to the epoch that
    distills, and the second. They divide the learning rate by 1 + α, which for SGD without momentum and weight decay is
    the same as `divide`.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        sieve_epoch: Epoch >= 0, counted from 0, that ends the first phase; 65 in the authors' code.
        alpha: α >= 0 of the first phase in the end; 2 in the authors' code, 1 for CIFAR-100.
        second_alpha: α >= 0 of the second; 1 in the authors' code.
        warm_up: Epochs >= 0 of a phase with α = 0; 10 in the authors' code.
        ramp: Epochs >= 0 over which α then grows; 30 in the authors' code.
        factor: By which α is multiplied in the loss alone, >= 0; 1, but 10 in the authors' code for CIFAR-100.
        threshold: Below which the given label is kept; -8 in the authors' code.
        divide: Whether the loss is divided by 1 + α.

    Raises:
        ValueError: A value is out of range.
    """

    alpha_now: Tensor
    """(), α of the current epoch."""
    epoch: Tensor
    """(), int64: the current epoch."""
    prior: Tensor
    """(K,) P̃."""
    shares: Tensor
    """(K,) P, by distilled label."""
    matrix: Tensor
    """(K, K) T; the row of a label that no sample was distilled to is that of the identity."""
    means: Tensor
    """(K, K) m."""
    relabelled: Tensor
    """(), share of distilled labels that are not the given ones, in [0, 1]."""
    sums: Tensor
    """(K, K + 1) sums of ℓ(j) over this epoch's samples by distilled label, and their number."""

    def __init__(
        self,
        problem: Problem,
        sieve_epoch: int = 65,
        alpha: float = 2.0,
        second_alpha: float = 1.0,
        warm_up: int = 10,
        ramp: int = 30,
        factor: float = 1.0,
        threshold: float = -8.0,
        divide: bool = True,
    ) -> None:
        not_negative = {"sieve_epoch": sieve_epoch, "alpha": alpha, "second_alpha": second_alpha, "warm_up": warm_up}
        for name, value in {**not_negative, "ramp": ramp, "factor": factor}.items():
            check_range(name, value, "[0, inf)")
        check_range("threshold", threshold, "(-inf, inf)")
        super().__init__(problem)
        self.sieve_epoch, self.alpha, self.second_alpha = sieve_epoch, alpha, second_alpha
        self.warm_up, self.ramp, self.factor, self.threshold = warm_up, ramp, factor, threshold
        self.divide = divide
        self.initial = Snapshot(self.backbone)
        self.distilled = SampleMemory(problem.num_samples, dtype=torch.long)
        classes = problem.num_classes
        self.register_buffer("alpha_now", torch.zeros(()))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("prior", torch.full((classes,), 1 / classes))
        self.register_buffer("shares", torch.zeros(classes))
        self.register_buffer("matrix", torch.eye(classes))
        self.register_buffer("means", torch.zeros(classes, classes))
        self.register_buffer("relabelled", torch.zeros(()))
        self.register_buffer("sums", torch.zeros(classes, classes + 1))

    @property
    def _second(self) -> bool:
        return int(self.epoch) > self.sieve_epoch

    def scalars(self) -> dict[str, Tensor]:
        """Return α and how many labels were distilled to others."""
        return {"alpha": self.alpha_now} | ({"relabelled": self.relabelled} if self._second else {})

    def transition(self) -> Tensor | None:
        """Return T (K, K), None in the first phase."""
        return self.matrix if self._second else None

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when α reaches the end of the second phase."""
        return {"sieve_epoch": self.sieve_epoch + 1 + self.warm_up + self.ramp}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedule, and begin the second phase when it is time."""
        self.epoch.fill_(context.epoch)
        given = context.labels[context.labels >= 0]
        if context.epoch == self.sieve_epoch:
            self.distilled.values.copy_(context.labels)
        if context.epoch == self.sieve_epoch + 1:
            self._count(self.distilled.values.cpu()[context.labels >= 0], given)
            self.initial.restore(self.backbone)
        start = self.sieve_epoch + 1 if self._second else 0
        alpha = self.second_alpha if self._second else self.alpha
        self.alpha_now.fill_(beta_at(context.epoch - start, alpha, self.warm_up, self.ramp))
        counts = given.bincount(minlength=len(self.prior)).float()
        weights = counts if self._second else counts.sqrt()
        self.prior.copy_(weights / weights.sum())
        self.sums.zero_()

    def on_epoch_end(self, context: EpochContext) -> None:
        """Take the means of the epoch."""
        if self._second:
            self.means.copy_(self.sums[:, :-1] / self.sums[:, -1:].clamp(min=1))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the losses; in the second phase subtract the covariance."""
        logits = self.backbone(image)
        p = log_probabilities(logits).exp()
        if int(self.epoch) == self.sieve_epoch:
            self._distill(p.detach(), label, index)
        every = losses_of_all_labels(self.loss, (p + _LEAST_OF_ALL).log())
        confidence = self.alpha_now * self.factor * (self.prior * every).sum(1)
        loss = batch_mean(self.loss((p + _LEAST).log(), label) - confidence)
        if self._second:
            loss = loss - self._covariance(every, label, self.distilled.read(index))
        return Step(loss / (1 + self.alpha_now) if self.divide else loss, self.loss(logits, label), logits)

    def _distill(self, p: Tensor, label: Tensor, index: Tensor) -> None:
        """Keep the labels (B,) of samples, or what is predicted with probabilities (B, K) instead."""
        every = losses_of_all_labels(self.loss, (p + _LEAST).log())
        own = every.gather(1, label[:, None]).squeeze(1)
        kept = own - every.mean(1) < self.threshold
        self.distilled.write(index, torch.where(kept, label, p.argmax(1)))

    def _count(self, distilled: Tensor, given: Tensor) -> None:
        """Count which labels were given to the samples of each distilled label, both (n,) on the CPU."""
        classes = len(self.prior)
        counts = (classes * distilled + given).bincount(minlength=classes**2).view(classes, classes).float()
        sizes = counts.sum(1, keepdim=True)
        self.shares.copy_(sizes[:, 0] / sizes.sum())
        self.matrix.copy_(torch.where(sizes > 0, counts / sizes.clamp(min=1), torch.eye(classes)))
        self.relabelled.copy_((distilled != given).float().mean())

    def _covariance(self, every: Tensor, label: Tensor, distilled: Tensor) -> Tensor:
        """Return this rank's part of the covariance term; see `batch_mean`.

        Args:
            every: (B, K) losses of all labels.
            label: (B,) given labels.
            distilled: (B,) distilled labels.
        """
        rows = torch.cat([every.detach(), torch.ones_like(every[:, :1])], 1).to(self.sums.dtype)
        sums = total(torch.zeros_like(self.sums).index_add_(0, distilled, rows))
        self.sums.add_(sums)
        surprise = F.one_hot(label, len(self.prior)) - self.matrix[distilled]
        terms = (surprise * (every - self.means[distilled])).sum(1)
        weights = self.shares[distilled] / sums[distilled, -1]
        return (weights * terms).sum() * world_size()
