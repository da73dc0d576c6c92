"""The features of a network: what its classifier takes."""

import torch
from torch import Tensor, nn

from noisy_lightning.backbones.classifier import classifiers


def logits_and_features(network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits (B, K) and the features (B, D) of images (B, C, H, W), by one pass."""
    features: list[Tensor] = []
    hook = classifiers(network)[0].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        logits: Tensor = network.forward(image)  # not __call__: where that is compiled, hooks do not run
    finally:
        hook.remove()
    return logits, features[0].flatten(1)


class LogitsAndFeatures(nn.Module):
    """Gives logits and features side by side, (B, K + D), for a pass over the training part.

    Args:
        network: The network that gives both.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Return both for images (B, C, H, W)."""
        return torch.cat(logits_and_features(self.network, image), 1)


def feature_width(network: nn.Module) -> int:
    """Return D, how many features the classifier of a network takes.

    Raises:
        ValueError: Its classifier is no linear layer.
    """
    last = classifiers(network)[0]
    if not isinstance(last, nn.Linear):
        raise ValueError(f"the network must end in a linear layer, and ends in {type(last).__name__}")
    return last.in_features
