"""Stochastic label noise (SLN): Chen, Chen, Ye, Zhao and Heng, ICLR 2021."""

import math
import warnings
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.mean_teacher import MeanTeacher
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.methods.parts.soft_targets import given_targets, share_contradicted
from noisy_lightning.types import Step

# After so many times 1 / (1 − momentum) steps, less than 1 % of a moving average is what it started from.
_SPANS = 5


@final
class StochasticLabelNoise(Method):
    """One network that trains on targets to which Gaussian noise is added, anew in every epoch.

    The noise keeps the network out of the sharp minima where it has memorized wrong labels. σ·n with n ~ N(0, 1) is
    added to every entry of the one-hot target, neither clipped nor normalized. The loss of a sample is thereby the loss
    ℓ of its label minus σ·Σ_k n_k·log p_k; with cross-entropy this is the cross-entropy of the noisy target.

    One run gives all of the paper's results. The network itself (`raw` in the metrics) is SLN. The moving average of
    its weights and batch statistics, which gives the logits to evaluate, is SLN-MO, and with `correction_epoch`
    SLN-MO-LC: from that epoch on there is no noise, and before each epoch the average predicts all training samples,
    augmented as in training. With w = (ℓ − min ℓ) / (max ℓ − min ℓ) over all of them, the target of a sample becomes

        w · onehot(given label) + (1 − w) · onehot(predicted class).

    A large loss keeps the given label, as published: most w are small, so most samples learn the prediction. Where all
    losses are equal, or one is not finite, all given labels are kept for an epoch, with a warning.

    Recorded are the losses on the given label without noise, and as `kept`, where labels are corrected, w: how far the
    given label takes part, 1 before the correction.

    Deviations: ℓ in w is `loss`, which is cross-entropy in the paper. The noise of an epoch is a table (N, K) drawn at
    its start, so that it is the same on any number of devices.

    Args:
        problem: The task; any loss, cross-entropy in the paper. With `correction_epoch` it must take soft targets.
        sigma: σ >= 0. The paper has 1 for symmetric noise on CIFAR-10 and 0.5 for other noise there; 0.2 on CIFAR-100,
            0.1 where its noise depends on the image; 0.2 on Clothing1M.
        momentum: In [0, 1), of the average per optimizer step; 0.999 in the paper, whose runs have 117,000 steps. Such
            an average still has a part of 0.999ⁿ in its initial weights after n steps: it is made for runs of more than
            5,000, and shorter ones need less, such as 0.99 from 500 on. A run that is too short warns.
        correction_epoch: First epoch, counted from 0, that trains on corrected targets. It is the number of epochs
            before the correction, as in the paper: 250 of 300 on CIFAR, 1 of 10 on Clothing1M. null: never.
        correction_reference: Which loss gives w: `current`, on the target as corrected so far, as in the authors' code
            for CIFAR; or `given`, on the given label, as in their code for Clothing1M and in a reproduction on CIFAR
            that is just as accurate.
        soft_correction: Whether predicted probabilities are used in place of the predicted class, as for Clothing1M.

    Raises:
        InputError: Labels are to be corrected and the loss takes no soft targets.
        ValueError: A value is out of range.
    """

    mixable: ClassVar[bool] = True

    seed: Tensor
    """(), int64: seeds the noise, together with the epoch."""
    epoch: Tensor
    """(), int64: the current epoch."""
    noise_now: Tensor
    """(), σ in the current epoch."""
    relabelled: Tensor
    """(), share of the training samples whose target prefers another class than the given one."""

    def __init__(
        self,
        problem: Problem,
        sigma: float = 1.0,
        momentum: float = 0.999,
        correction_epoch: int | None = None,
        correction_reference: Literal["current", "given"] = "current",
        soft_correction: bool = False,
    ) -> None:
        super().__init__()
        check_range("sigma", sigma, "[0, inf)")
        check_range("momentum", momentum, "[0, 1)")
        samples, classes = problem.num_samples, problem.num_classes
        self.shape = samples, classes
        self.backbone = problem.make_backbone()
        self.average = MeanTeacher(self.backbone)
        self.loss = problem.loss
        self.sigma, self.momentum, self.correction_epoch = sigma, momentum, correction_epoch
        self.correction_reference, self.soft_correction = correction_reference, soft_correction
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.long))
        self.register_buffer("noise_now", torch.tensor(float(sigma)))
        self.register_buffer("relabelled", torch.zeros(()))
        self.targets: SampleMemory | None = None
        self.given_weights: SampleMemory | None = None
        if correction_epoch is not None:
            check_range("correction_epoch", correction_epoch, "[0, inf)")
            problem.require_soft_targets()
            self.targets = SampleMemory(samples, classes, fill=1 / classes)
            self.given_weights = SampleMemory(samples, fill=1.0)
        # It depends on seed and epoch only; None: not drawn yet in this epoch.
        self._table: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget_table)  # type: ignore[no-untyped-call]

    def forward(self, image: Tensor) -> Tensor:
        """Return the averaged network's logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.average(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return the network itself."""
        return {"raw": self.backbone}

    @property
    def depends_on_length(self) -> bool:
        """Whether labels are corrected, by augmented predictions."""
        return self.correction_epoch is not None

    def scalars(self) -> dict[str, Tensor]:
        """Return `sigma` and, where labels are corrected, `relabelled`: the share of labels that were overruled."""
        return {"sigma": self.noise_now} | ({} if self.targets is None else {"relabelled": self.relabelled})

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return when the average has left the initial weights behind, and when the correction begins."""
        average = _SPANS / (1 - self.momentum) / context.steps_per_epoch
        return {"momentum": average} | (
            {} if self.correction_epoch is None else {"correction_epoch": self.correction_epoch + 1}
        )

    def on_epoch_start(self, context: EpochContext) -> None:
        """Draw new noise, or correct the targets."""
        self.epoch.fill_(context.epoch)
        self._table = None
        if self.targets is None or self.given_weights is None or self.correction_epoch is None:
            return
        labels = context.labels.to(self.epoch.device)
        given = given_targets(labels, self.shape[1])
        if context.epoch <= self.correction_epoch:
            self.targets.values.copy_(given)
        if context.epoch < self.correction_epoch:
            return
        self.noise_now.fill_(0)
        trained_on = (labels >= 0).nonzero().squeeze(1)
        outputs = context.predict(self.average, augmented=True).to(labels.device)[trained_on]
        given, current = given[trained_on], self.targets.read(trained_on)
        weights = weights_of_given(self.loss(outputs, current if self.correction_reference == "current" else given))
        predicted = outputs.softmax(1) if self.soft_correction else F.one_hot(outputs.argmax(1), self.shape[1]).float()
        corrected = weights[:, None] * given + (1 - weights[:, None]) * predicted
        targets = torch.where(weights[:, None] < 1, corrected, given)  # even if the prediction is NaN
        self.targets.values.index_copy_(0, trained_on, targets)
        self.given_weights.values.index_copy_(0, trained_on, weights)
        self.relabelled.copy_(share_contradicted(self.targets.values, labels))

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Add the noise's part to the loss on the given labels or the corrected targets."""
        mixed = self.mixed(image, label, index)
        logits = self.backbone(mixed.image)
        losses = self.loss(logits, label)

        def of_others(label: Tensor, index: Tensor) -> Tensor:
            return self._learned(logits, self.loss(logits, label), index)

        weights = None if self.given_weights is None else self.given_weights.read(index)
        return Step(mixed.blend(self._learned(logits, losses, index), of_others), losses, logits, weights)

    def _learned(self, logits: Tensor, losses: Tensor, index: Tensor) -> Tensor:
        """Return the mean loss () of logits (B, K) for the noisy targets of samples (B,), whose losses are (B,)."""
        learned = losses if self.targets is None else self.loss(logits, self.targets.read(index))
        if self.sigma > 0:
            noise = self.noise_now * self._noise()[index]
            learned = learned - (noise * log_probabilities(logits)).sum(1)
        return batch_mean(learned)

    def on_step_end(self) -> None:
        """Let the average follow."""
        self.average.update(self.backbone, self.momentum)

    def _noise(self) -> Tensor:
        """Return n (N, K) of the current epoch; drawn on the CPU, so that it is the same on all devices."""
        if self._table is None:
            random = torch.Generator().manual_seed(int(self.seed) + int(self.epoch))
            self._table = torch.randn(self.shape, generator=random).to(self.epoch.device)
        return self._table


def weights_of_given(losses: Tensor) -> Tensor:
    """Return w (N,) in [0, 1]: the losses (N,) scaled so that the smallest is 0 and the largest 1.

    All are 1, with a warning, where all losses are equal or one is not finite.
    """
    low, high = losses.aminmax()
    if not 0 < high - low < math.inf:
        warnings.warn("SLN: the losses do not separate labels, all given ones are kept for an epoch", stacklevel=2)
        return torch.ones_like(losses)
    return (losses - low) / (high - low)


def _forget_table(method: StochasticLabelNoise, incompatible_keys: object) -> None:
    """Have the noise drawn again: its seed and epoch have just been loaded."""
    method._table = None
