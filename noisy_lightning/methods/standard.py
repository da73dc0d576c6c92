"""Plain training on the given labels."""

from typing import final

from torch import Tensor

from noisy_lightning.methods.base import Method, Problem
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.types import Step


@final
class Standard(Method):
    """One network, trained on the mean loss of the given labels: all robustness comes from the loss."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone = problem.make_backbone()
        self.loss = problem.loss

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.backbone(image)
        return logits

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the per-sample losses; every sample takes part."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(batch_mean(losses), losses, logits)
