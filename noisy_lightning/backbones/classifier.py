"""Body and classifier of a network, for training that starts from pretrained weights."""

from typing import Any

from torch import nn


def classifiers(network: nn.Module) -> list[nn.Module]:
    """Return the last layer of a network, or its last layers.

    That is what the network's `get_classifier()` returns, as timm's networks have it; else the last of its layers that
    has weights, in the order in which they were made.
    """
    if get_classifier := getattr(network, "get_classifier", None):
        found: Any = get_classifier()
        return [found] if isinstance(found, nn.Module) else list(found)
    return [[layer for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None][-1]]


class Body:
    """All of a network but its classifier.

    Args:
        network: The network. Weights that need no gradient now never will.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network, self._classifiers = network, classifiers(network)
        ends = {weight for layer in self._classifiers for weight in layer.parameters()}
        self.parameters = [weight for weight in network.parameters() if weight.requires_grad and weight not in ends]

    def freeze(self) -> None:
        """Stop the body's weights, its batch statistics and its dropout; the classifier goes on learning."""
        self._network.eval()
        for layer in self._classifiers:
            layer.train()
        for weight in self.parameters:
            weight.requires_grad_(False)

    def thaw(self) -> None:
        """Let all of the network learn."""
        self._network.train()
        for weight in self.parameters:
            weight.requires_grad_(True)
