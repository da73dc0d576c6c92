"""Adam with a state that a method saves: Kingma and Ba, ICLR 2015."""

from typing import final

import torch
from torch import Tensor, nn

_BETA1, _BETA2 = 0.9, 0.999
_EPSILON = 1e-8


@final
class Adam(nn.Module):
    """Takes steps of at most so many weights, as `torch.optim.Adam` does by default.

    Args:
        size: Number of weights.
        lr: Learning rate > 0.
    """

    mean: Tensor
    """(size,), moving average of the gradients."""
    square: Tensor
    """(size,), that of their squares."""
    steps: Tensor
    """(), int64: steps so far."""

    def __init__(self, size: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("square", torch.zeros(size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def reset(self) -> None:
        """Begin anew."""
        for value in (self.mean, self.square, self.steps):
            value.zero_()

    @torch.no_grad()
    def step(self, weights: list[Tensor], gradient: Tensor) -> None:
        """Change weights in place, the same ones since the last reset, by their gradients (n,), one after another."""
        mean, square = self.mean[: len(gradient)], self.square[: len(gradient)]
        gradient = gradient.to(mean.dtype)
        self.steps.add_(1)
        mean.lerp_(gradient, 1 - _BETA1)
        square.lerp_(gradient.square(), 1 - _BETA2)
        steps = int(self.steps)
        scale = (square / (1 - _BETA2**steps)).sqrt_().add_(_EPSILON)
        change = mean / scale * (self.lr / (1 - _BETA1**steps))
        for weight, part in zip(weights, torch.split(change, [weight.numel() for weight in weights]), strict=True):
            weight.sub_(part.view(weight.shape))
