"""A network whose weights are a moving average of another's: Tarvainen and Valpola, NeurIPS 2017."""

import copy
from itertools import chain
from typing import final

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@final
class MeanTeacher(nn.Module):
    """An averaged copy of a network, which no optimizer changes.

    Args:
        network: To be copied at once.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)

    @torch.no_grad()
    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W), in eval mode always and without gradient."""
        self.network.eval()  # not in __init__: Lightning warns if a layer is in eval mode when a fit starts
        logits: Tensor = self.network(image)
        return logits

    @torch.no_grad()
    def update(self, network: nn.Module, momentum: float) -> None:
        """Move toward a network, in place: average ← momentum · average + (1 − momentum) · network.

        The running statistics of batch normalization are averaged as weights are; integers are copied.

        Args:
            network: Of the same architecture.
            momentum: In [0, 1].
        """
        averages, values = [], []
        for average, value in zip(_state(self.network), _state(network), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value.detach())
            else:
                average.copy_(value)
        get_ema_multi_avg_fn(momentum)(averages, values, 0)  # type: ignore[no-untyped-call]


def _state(network: nn.Module) -> chain[Tensor]:
    return chain(network.parameters(), network.buffers())
