"""CORES², a sample sieve: Cheng, Zhu, Li, Gong, Sun and Liu, ICLR 2021."""

from collections.abc import Collection
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, EpochContext, Problem
from noisy_lightning.methods.parts.all_labels import losses_of_all_labels
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import total, weighted_mean
from noisy_lightning.types import Step

# Added to probabilities, as in the authors' code. Without it the loss would have no lower bound.
_LEAST = 1e-8


@final
class SampleSelectionCORES(OneNetwork):
    """One network that is made confident, and leaves out samples whose label has more loss than labels have on average.

    The loss of a sample is ℓ(ỹ) − β·E_k ℓ(k). The second term, the mean loss over all labels k, is the confidence
    regularizer: it lowers the loss of predictions that are sure of a class, whichever it is. In ℓ(k), 1e-8 is added to
    each probability, which bounds the loss, and the probabilities are divided by their sum. From epoch `sieve_from` on
    only samples with ℓ(ỹ) ≤ mean_k ℓ(k) are kept, and the loss is their mean; where a batch has none, it is 0. The
    method needs no noise rate, and is also meant for noise that depends on the image.

    β is 0 for `warm_up` epochs, then grows linearly, from 0 in the first to `beta` in the last of `ramp` epochs.

    Class weights multiply both terms of the loss, and the weights of labels in E_k where these are counted (`kept`).

    Recorded are the losses without the regularizer. A sample whose loss is NaN is kept, so that it shows when training
    has broken down. A step computes the loss for all K labels, so that memory grows with B·K².

    Deviations: this is the first of the paper's two phases; the second trains on the samples left out, without their
    labels. For another, see `divide`.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        beta: β >= 0 in the end; 2 in the paper.
        warm_up: Epochs >= 0 with β = 0; 10 in the authors' code.
        ramp: Epochs >= 0 over which β grows; 30 in the authors' code.
        sieve_from: First epoch, counted from 0, in which samples are left out; 31 in the authors' code.
        prior: How E_k weights labels. `kept`: by how often they were given to the samples that the previous epoch kept,
            as in the authors' code; in the first epoch, to all samples. `uniform`: all equally.
        divide: Whether the loss is divided by 1 + β. The authors divide the learning rate, which is the same for SGD
            without momentum and weight decay, as they have it.

    Raises:
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    beta_now: Tensor
    """β of the current epoch."""
    sieving: Tensor
    """(), bool: whether samples are left out in the current epoch."""
    prior: Tensor
    """(K,) weights of labels, with sum 1."""
    kept_labels: Tensor
    """(K,) how many samples the current epoch has kept so far, by given label."""

    def __init__(
        self,
        problem: Problem,
        beta: float = 2.0,
        warm_up: int = 10,
        ramp: int = 30,
        sieve_from: int = 31,
        prior: Literal["kept", "uniform"] = "kept",
        divide: bool = True,
    ) -> None:
        for name, value in {"beta": beta, "warm_up": warm_up, "ramp": ramp, "sieve_from": sieve_from}.items():
            check_range(name, value, "[0, inf)")
        super().__init__(problem)
        self.beta, self.warm_up, self.ramp, self.sieve_from = beta, warm_up, ramp, sieve_from
        self.prior_follows, self.divide = prior == "kept", divide
        self.register_buffer("beta_now", torch.zeros(()))
        self.register_buffer("sieving", torch.zeros((), dtype=torch.bool))
        self.register_buffer("prior", torch.full((problem.num_classes,), 1 / problem.num_classes))
        self.register_buffer("kept_labels", torch.zeros(problem.num_classes, dtype=torch.long))

    def scalars(self) -> dict[str, Tensor]:
        """Return β."""
        return {"beta": self.beta_now}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when β reaches its end and when samples are left out."""
        return {"ramp": self.warm_up + self.ramp, "sieve_from": self.sieve_from + 1}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedules."""
        self.beta_now.fill_(beta_at(context.epoch, self.beta, self.warm_up, self.ramp))
        self.sieving.fill_(context.epoch >= self.sieve_from)
        self.kept_labels.zero_()
        if context.epoch == 0:
            self._set_prior(context.labels[context.labels >= 0].bincount(minlength=len(self.prior)))

    def on_epoch_end(self, context: EpochContext) -> None:
        """Count what was kept."""
        self._set_prior(self.kept_labels)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the regularized losses of the samples that pass the sieve."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        every = losses_of_all_labels(self.loss, (log_probabilities(logits).exp() + _LEAST).log())
        kept = ~(self.sieving & (losses.detach() > every.detach().mean(1)))
        self.kept_labels.add_(total(torch.zeros_like(self.kept_labels).index_add_(0, label, kept.long())))
        regularized = losses - self.beta_now * (self.prior * every).sum(1)
        loss = weighted_mean(self.weighted(regularized, label).where(kept, 0), kept)
        return Step(loss / (1 + self.beta_now) if self.divide else loss, losses, logits, kept)

    def _set_prior(self, counts: Tensor) -> None:
        """Set the prior by the counts (K,) of labels; it stays as it is where nothing was kept."""
        if self.class_weights is not None:  # the more a label counts, the more it would count if it were random
            counts = counts.to(self.class_weights.device) * self.class_weights
        if self.prior_follows and counts.any():
            self.prior.copy_(counts / counts.sum())


def beta_at(epoch: int, beta: float, warm_up: int, ramp: int) -> float:
    """Return β of an epoch, counted from 0: 0, then linearly up to `beta` in epoch warm_up + ramp − 1."""
    if epoch >= warm_up + ramp:
        return beta
    return beta * max(epoch - warm_up, 0) / max(ramp - 1, 1)
