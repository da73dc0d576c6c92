"""The loss that a sample would have under each label."""

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss


def losses_of_all_labels(loss: RobustLoss, logits: Tensor) -> Tensor:
    """Return the losses (B, K) of logits (B, K) for each label; needs memory for B·K² numbers."""
    size, num_classes = logits.shape
    labels = torch.arange(num_classes, device=logits.device).repeat(size)
    losses: Tensor = loss(logits.repeat_interleave(num_classes, 0), labels)
    return losses.view(size, num_classes)
