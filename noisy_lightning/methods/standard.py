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
    mixable: ClassVar[bool] = True

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the per-sample losses; every sample takes part."""
        mixed = self.mixed(image, label, index)
        logits = self.backbone(mixed.image)
        losses = self.loss(logits, label)

        def of_others(label: Tensor, index: Tensor) -> Tensor:
            return batch_mean(self.weighted(self.loss(logits, label), label))

        return Step(mixed.blend(batch_mean(self.weighted(losses, label)), of_others), losses, logits)
