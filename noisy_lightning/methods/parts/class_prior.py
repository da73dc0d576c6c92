"""How often a network predicts each class, so that it can be held back from the easy ones."""

from typing import final

import torch
from torch import Tensor, nn

from noisy_lightning.methods.parts.ranks import total


@final
class ClassPrior(nn.Module):
    """The moving average π of mean probabilities, uniform at first.

    Args:
        num_classes: K.
        momentum: m in [0, 1), of π ← m·π + (1 − m)·mean.
    """

    values: Tensor
    """(K,) in [0, 1], equal on all ranks."""

    def __init__(self, num_classes: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("values", torch.full((num_classes,), 1 / num_classes))

    def follow(self, probabilities: Tensor, part: Tensor) -> None:
        """Move π by the mean of (B, K) over some samples, (B,) bool, of all ranks; nothing moves it where are none."""
        number, sums = total(part.sum()), total((probabilities * part[:, None]).sum(0))
        if number:
            self.values.mul_(self.momentum).add_((1 - self.momentum) * sums / number)

    def log(self) -> Tensor:
        """Return log π (K,), finite."""
        return self.values.clamp(min=1e-12).log()
