"""A look at what a network says while it is in training."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def inferred(network: nn.Module, image: Tensor) -> Tensor:
    """Return the logits (B, K) of images (B, C, H, W) in inference mode; the network is left as it was."""
    training = [layer for layer in network.modules() if layer.training]
    logits: Tensor = network.eval()(image)
    for layer in training:
        layer.training = True
    # Before its pull request 165068, PyTorch would train on what this pass cast to half precision, without gradient.
    torch.clear_autocast_cache()
    return logits
