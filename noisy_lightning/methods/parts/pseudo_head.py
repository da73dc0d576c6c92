"""A second classifier on the features of a network, which learns from guesses that should not reach the first one."""

from typing import final

from torch import Tensor, nn

from noisy_lightning.backbones.classifier import classifiers
from noisy_lightning.methods.parts.features import feature_width, logits_and_features


@final
class PseudoHead(nn.Module):
    """A new linear layer like the last one of a network, which is given again at each pass and not a part of this.

    Args:
        network: The network.

    Raises:
        ValueError: The network does not end in a linear layer.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        width, weight = feature_width(network), next(classifiers(network)[0].parameters())
        self.linear = nn.Linear(width, len(weight), dtype=weight.dtype)

    def forward(self, network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, K) of the network's own head, and of this one, for images (B, C, H, W), by one pass."""
        logits, features = logits_and_features(network, image)
        return logits, self.linear(features)
