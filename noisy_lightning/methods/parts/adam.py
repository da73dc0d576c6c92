"""Adam for what a method learns by itself, at a rate of its own."""

import math
from typing import final

import torch
from torch import Tensor, nn


@final
class Adam(nn.Module):
    """Adam (Kingma and Ba, ICLR 2015) of one tensor, which no optimizer of the run changes.

    As torch's, with β₁ = 0.9, β₂ = 0.999, ε = 1e-8 and weight decay that is added to the gradient.

    Args:
        shape: Of the tensor.
    """

    first: Tensor
    """Moving average of the gradients."""
    second: Tensor
    """Moving average of their squares."""
    count: Tensor
    """(), int64: steps so far."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("first", torch.zeros(shape))
        self.register_buffer("second", torch.zeros(shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def reset(self) -> None:
        """Begin anew."""
        for value in (self.first, self.second, self.count):
            value.zero_()

    @torch.no_grad()
    def descend(self, value: Tensor, gradient: Tensor, lr: float, weight_decay: float = 0.0) -> None:
        """Take a step, in place.

        Args:
            value: What is learned.
            gradient: Equal on all ranks, as it should be.
            lr: Learning rate >= 0.
            weight_decay: >= 0, times the value.
        """
        gradient = (gradient + weight_decay * value).to(self.first.dtype)
        self.count.add_(1)
        self.first.lerp_(gradient, 0.1)
        self.second.lerp_(gradient.square(), 0.001)
        steps = self.count.to(value.dtype)
        # 1 − β^steps, of which a subtraction in float32 would leave five digits.
        of_first, of_second = (-torch.expm1(steps * math.log(beta)) for beta in (0.9, 0.999))
        root = (self.second / of_second).sqrt() + 1e-8
        value.sub_(lr * (self.first / of_first) / root)
