"""What two networks do with all labels before any is distrusted."""

from collections.abc import Sequence

import torch
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.methods.parts.ranks import batch_mean
from noisy_lightning.methods.parts.semi_supervised import negative_entropy
from noisy_lightning.types import Step


def warm_up_step(loss: RobustLoss, both: Sequence[Tensor], label: Tensor, penalize: bool) -> Step:
    """Return a step that trains two networks side by side on given labels; records the mean of losses and logits.

    Args:
        loss: Of logits and labels.
        both: The logits (B, K) of each network.
        label: (B,).
        penalize: Whether the mean Σ p·log p is added for each, against overconfidence.
    """
    losses = [loss(logits, label) for logits in both]
    minimized = batch_mean(losses[0]) + batch_mean(losses[1])
    if penalize:
        minimized = minimized + sum(batch_mean(negative_entropy(logits)) for logits in both)
    everyone = torch.ones_like(label, dtype=torch.float)
    return Step(minimized, (losses[0] + losses[1]) / 2, (both[0] + both[1]) / 2, everyone)
