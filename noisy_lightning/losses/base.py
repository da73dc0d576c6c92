"""What a loss is."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class RobustLoss(nn.Module, ABC):
    """A classification loss per sample.

    Subclasses are final: to vary a loss, wrap it. A loss never reduces over the batch, so that it can be
    recorded, weighted and selected by sample, and it computes in float32 or better whatever the logits' type.

    Example:
        >>> import torch
        >>> from noisy_lightning import losses
        >>> loss = losses.SymmetricCrossEntropy(alpha=0.1)
        >>> loss(torch.zeros(3, 10), torch.tensor([0, 4, 9])).shape
        torch.Size([3])
    """

    @abstractmethod
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each sample.

        Args:
            logits: (B, K) unnormalized scores.
            target: (B,) class indices in [0, K), or (B, K) class probabilities where the loss allows soft targets.

        Returns:
            (B,) losses.
        """
