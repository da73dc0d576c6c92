"""Plain training on the given labels."""

from collections.abc import Collection
from typing import ClassVar, final

from torch import Tensor

from noisy_lightning.methods.base import ANY
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.types import Step


@final
class Standard(OneNetwork):
    """One network, trained on the mean loss of the given labels: all robustness comes from the loss."""

    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the per-sample losses; every sample takes part."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(batch_mean(self.weighted(losses, label)), losses, logits)
