"""Plain training on the given labels."""

from typing import final

from torch import Tensor

from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.types import Step


@final
class Standard(OneNetwork):
    """One network, trained on the mean loss of the given labels: all robustness comes from the loss."""

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the per-sample losses; every sample takes part."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(batch_mean(losses), losses, logits)
