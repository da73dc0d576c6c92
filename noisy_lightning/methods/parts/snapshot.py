"""The weights of a network at one moment, to return to later."""

from typing import final

import torch
from torch import nn


@final
class Snapshot(nn.Module):
    """A copy of a network's weights and running statistics, as buffers: saved with the method, seen by no optimizer.

    Args:
        network: To be copied at once.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for number, value in enumerate(network.state_dict().values()):
            self.register_buffer(f"value_{number}", value.clone())

    @torch.no_grad()
    def restore(self, network: nn.Module) -> None:
        """Set a network of the same architecture back, in place."""
        for value, copy in zip(network.state_dict().values(), self.buffers(), strict=True):
            value.copy_(copy)
