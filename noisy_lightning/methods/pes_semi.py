"""PES(semi), progressive early stopping with MixMatch: Bai et al., NeurIPS 2021."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.batch_random import BatchRandom
from noisy_lightning.methods.parts.mixup import Mixup
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ramps import rise
from noisy_lightning.methods.parts.ranks import batch_mean, gather
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.semi_supervised import (
    class_balance,
    confident,
    labeled_and_unlabeled,
    sharpened,
)
from noisy_lightning.methods.parts.tail_retraining import Tail, TailRetraining
from noisy_lightning.types import Step, View

_HEAVIEST = 3.0


@final
class PESSemi(OneNetwork):
    """`PES` with a new classifier alone, after which samples that are not confident count as unlabeled: MixMatch.

    After `warm_up` epochs on all given labels, T₁, the classifier gets new weights and is trained alone for
    `classifier_epochs`, T₂, by Adam at `retraining_lr`. From then on, samples are labeled in an epoch if they are
    confident, as in `PES`. Targets are the given labels of these, and of the others sharpen(p) ∝ p^(1/T), where p is
    the mean of the probabilities of two views. Each view is mixed with another of the batch, of either kind, and so are
    the targets t. Its own share is max(l, 1 − l), where l ~ Beta(α, α) is drawn once for each batch. The loss is

        mean Σ_c −w_c · t_c · log p_c over labeled views + λ · mean squared error of p over unlabeled ones,

    where w_c is the mean number of confident samples of a class divided by the number of class c, and at most 3. λ
    grows from 0 to λ_u in the `ramp` epochs after the retraining, batch by batch. In the second half of the run, not
    counting the epochs of the retraining, α is `late_alpha`.

    λ_u matters and depends on the noise. The authors give:

    | labels   | CIFAR-10N, ResNet-34 | CIFAR-100N, ResNet-34 | CIFAR-10, 40 % by image | CIFAR-100, 45 % pair |
    | -------- | -------------------- | --------------------- | ----------------------- | -------------------- |
    | λ_u =    | 5                    | 75                    | 15                      | 50                   |

    Recorded are losses, on the given labels, and logits of the first view before it is mixed; and as `kept` whether a
    sample is confident. `confident` and `unlabelled_weight` are logged, the share of these and λ.

    Deviations. The authors' T₂ epochs come before epoch T₁, here they are epochs of the run, which has as many more.
    They draw labeled and unlabeled samples apart, as many of either where unlabeled ones are the majority. Here a batch
    is any samples, and both terms are means over however many there are. The guesses for both views and all samples
    pass through batch normalization as one batch, in training mode as in their code, and move its running statistics.
    What is said in `PES` of the optimizer and of new weights holds here too. On several ranks, all parts of a batch are
    mixed with each other.

    Guards: a batch without labeled or without unlabeled samples has no such term; where no sample is confident, all are
    for an epoch, with a warning.

    Args:
        problem: The task; any loss, cross-entropy in the paper, for the warm-up and the retraining. MixMatch has
            cross-entropy in any case.
        warm_up: T₁ >= 0, first view only; 20 for CIFAR-10 and 35 for CIFAR-100 in the authors' code.
        classifier_epochs: T₂ >= 0; 5.
        retraining_lr: Learning rate > 0 of Adam; 1e-4.
        temperature: T in (0, 1]; 0.5.
        alpha: α > 0 in the first half; 4.
        late_alpha: α > 0 in the second half, see above; 0.75.
        unlabelled_weight: λ_u >= 0, see above; 150 by default in the authors' code.
        ramp: Epochs >= 0; 16 in the authors' code. 0: λ is λ_u at once.

    Raises:
        ValueError: A value is out of range.
    """

    views: ClassVar[Sequence[View]] = ("weak", "weak")

    share: Tensor
    """(), of the training part: confident."""
    balance: Tensor
    """(K,), w_c."""
    alpha_now: Tensor
    """(), α of this epoch."""
    epochs: Tensor
    """(), int64: epochs of MixMatch before this one; negative before the first."""
    served: Tensor
    """(), int64: samples seen in this epoch of MixMatch so far, on all ranks."""
    size: Tensor
    """(), int64: number of samples in the training part."""

    def __init__(
        self,
        problem: Problem,
        warm_up: int = 20,
        classifier_epochs: int = 5,
        retraining_lr: float = 1e-4,
        temperature: float = 0.5,
        alpha: float = 4.0,
        late_alpha: float = 0.75,
        unlabelled_weight: float = 150.0,
        ramp: int = 16,
    ) -> None:
        for name, value in {"warm_up": warm_up, "classifier_epochs": classifier_epochs, "ramp": ramp}.items():
            check_range(name, value, "[0, inf)")
        for name, rate in {"retraining_lr": retraining_lr, "alpha": alpha, "late_alpha": late_alpha}.items():
            check_range(name, rate, "(0, inf)")
        check_range("temperature", temperature, "(0, 1]")
        check_range("unlabelled_weight", unlabelled_weight, "[0, inf)")
        super().__init__(problem)
        self.num_classes, self.warm_up = problem.num_classes, warm_up
        self.temperature, self.alpha, self.late_alpha = temperature, alpha, late_alpha
        self.unlabelled_weight, self.ramp = unlabelled_weight, ramp
        phases: list[tuple[Tail, int]] = [("classifier", classifier_epochs)]
        self.retraining = TailRetraining(self.backbone, phases, problem.make_backbone, retraining_lr)
        self.confident = SampleMemory(problem.num_samples, dtype=torch.bool)
        self.random = BatchRandom()
        self.register_buffer("share", torch.ones(()))
        self.register_buffer("balance", torch.ones(problem.num_classes))
        self.register_buffer("alpha_now", torch.full((), alpha))
        for name in ("epochs", "served", "size"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))

    @property
    def depends_on_length(self) -> bool:
        """Whether α and augmented predictions follow it: yes."""
        return True

    def scalars(self) -> dict[str, Tensor]:
        """Return `confident`, the share of labels in use, and `unlabelled_weight`, λ."""
        return {"confident": self.share, "unlabelled_weight": self.share.new_tensor(self._lambda())}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when confident samples are first divided off, and when λ reaches its end."""
        begin = self.warm_up + self.retraining.length
        return {"warm_up": begin + 1, "ramp": begin + self.ramp}

    def on_epoch_start(self, context: EpochContext) -> None:
        """Give the classifier new weights, or divide the training part."""
        self.retraining.on_epoch_start(self.backbone, context.epoch - self.warm_up)
        self.epochs.fill_(context.epoch - self.warm_up - self.retraining.length)
        self.served.zero_()
        if self.epochs < 0:
            return
        trained_on = context.labels >= 0
        found = confident(context, self.backbone)
        self.confident.values.copy_(found)
        self.size.copy_(trained_on.sum())
        self.share.copy_(found.sum() / trained_on.sum())
        self.balance.copy_(class_balance(context.labels[found], self.num_classes).clamp(max=_HEAVIEST))
        # Halves are those of the authors' run, in which the retraining takes no epoch.
        late = 0 < context.max_epochs - self.retraining.length <= 2 * (context.epoch - self.retraining.length)
        self.alpha_now.fill_(self.late_alpha if late else self.alpha)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on the given labels, or the classifier alone, or on mixed views of the whole batch."""
        if self.retraining.active:
            return self.retraining.step(self.backbone, self.loss, image[0], label)
        if self.epochs < 0:
            logits = self.backbone(image[0])
            losses = self.loss(logits, label)
            return Step(batch_mean(losses), losses, logits)
        # A row is one view of one sample, first views first.
        images = image.flatten(0, 1)
        rows = (index * len(image) + torch.arange(len(image), device=index.device)[:, None]).flatten()
        everyone = gather(rows)
        unlabeled_weight = self._lambda()
        self.served.add_(len(everyone) // len(image))
        with torch.no_grad():
            own = self.backbone(images)
        # Otherwise some releases of torch reuse the weights cast here, without gradient, in the next pass.
        torch.clear_autocast_cache()
        labeled = self.confident.read(index)
        guess = log_probabilities(own).exp().view(len(image), len(label), -1).mean(0)
        given = F.one_hot(label, self.num_classes).to(guess.dtype)
        target = torch.where(labeled[:, None], given, sharpened(guess, self.temperature))
        mixup = Mixup(rows, everyone, float(self.alpha_now), self.random.next())
        logits = self.backbone(mixup.of(gather(images)))
        mixed = mixup.of(gather(target.repeat(len(image), 1)))
        losses = -(self.balance * mixed * log_probabilities(logits)).sum(1)
        loss = labeled_and_unlabeled(losses, logits, mixed, labeled.repeat(len(image)), unlabeled_weight)
        first = own[: len(label)]
        return Step(loss, self.loss(first, label), first, labeled)

    def on_step_end(self) -> None:
        """Let only the classifier change, while it is retrained."""
        self.retraining.on_step_end(self.backbone)

    def _lambda(self) -> float:
        """Return λ at the current place of the epoch."""
        epochs = int(self.epochs) + int(self.served) / max(1, int(self.size))
        return self.unlabelled_weight * rise(epochs, self.ramp)
