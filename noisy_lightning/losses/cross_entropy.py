"""Cross-entropy, the baseline that fits every label, wrong ones included."""

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import NO_IGNORED_LABEL, is_hard, label_out_of_range


@final
class CrossEntropy(RobustLoss):
    """Cross-entropy −Σ_k t_k log p_k, which is −log p_y for a hard label y.

    Unbounded, and not robust: with enough epochs a network memorizes any labels under it.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if not is_hard(logits, target):
            return F.cross_entropy(logits, target.to(logits.dtype), reduction="none")
        try:
            return F.cross_entropy(logits, target, reduction="none", ignore_index=NO_IGNORED_LABEL)
        except IndexError as error:
            raise label_out_of_range(target, logits.shape[1]) from error
