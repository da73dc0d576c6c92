"""What a network predicts while it is in training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode; afterward each layer is in the mode it was in before."""
    training = [layer for layer in network.modules() if layer.training]
    network.eval()
    try:
        yield
    finally:
        for layer in training:
            layer.training = True


@torch.no_grad()
def inferred(network: nn.Module, image: Tensor) -> Tensor:
    """Return the logits (B, K) of images (B, C, H, W) in eval mode and without gradient; each layer keeps its mode."""
    with evaluating(network):
        logits: Tensor = network(image)
    # Before its pull request 165068, PyTorch would train on what this pass cast to half precision, without gradient.
    torch.clear_autocast_cache()
    return logits
