"""Self-ensemble label correction (SELC): Lu and He, IJCAI 2022."""

from typing import final

from torch import Tensor

from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.target_correction import TargetCorrection
from noisy_lightning.types import Step


@final
class SelfEnsembleLabelCorrection(TargetCorrection):
    """One network that, once it has learned the right labels, moves the targets toward its own predictions.

    For `correction_epoch` epochs it trains on the given labels. From then on each step first updates the targets of its
    samples, t ← α·t + (1 − α)·p, where p are the network's probabilities without gradient and t starts as the one-hot
    given label, and then minimizes the mean loss on t. After n epochs of correction the given label itself has a share
    of α^n in the target. The authors begin before the network memorizes wrong labels. They find that epoch by a
    separate training on cross-entropy; this search is not part of the method here.

    Recorded are the losses on the given labels.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper.
        correction_epoch: First epoch >= 0, counted from 0, that corrects. It equals the authors' number, which counts
            from 1 and corrects in later epochs only. For symmetric noise of 20, 40, 60 and 80 % they use 40, 30, 30 and
            40 on CIFAR-10 and 30, 20, 30 and 40 on CIFAR-100; for 40 % asymmetric noise 40 and 20.
        momentum: α in [0, 1]; 0.9 in the paper.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    def __init__(self, problem: Problem, correction_epoch: int = 30, momentum: float = 0.9) -> None:
        super().__init__(problem, correction_epoch, momentum)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Move the targets, then train on them; every sample takes part."""
        logits = self.backbone(image)
        target = self.move_targets(logits, index)
        return Step(batch_mean(self.loss(logits, target)), self.loss(logits, label), logits)
