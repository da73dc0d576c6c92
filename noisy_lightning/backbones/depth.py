"""How deep weights lie in a network, for learning rates that fall from the classifier down."""

from typing import Any

from torch import nn

from noisy_lightning.backbones.classifier import classifiers


def depths(network: nn.Module) -> dict[nn.Parameter, int]:
    """Return how many blocks each weight of a network lies below its classifier, which has depth 0.

    The blocks of timm's networks are those that timm itself knows (`group_matcher`): each residual or transformer block
    is one, the stem another, and a final normalization belongs to the block before it. Of any other network, they are
    its layers in the order in which they were made: a `Sequential` counts as what it holds, what has vectors alone,
    such as normalization, belongs to the block before it, and weights of no layer to the first block.
    """
    blocks = _of_timm(network) or _in_order(network)
    found = {weight: depth for depth, block in enumerate(reversed(blocks)) for weight in block}
    return found | {weight: 0 for layer in classifiers(network) for weight in layer.parameters()}


def _of_timm(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the blocks of a network of timm, also of one within another network; nothing of others."""
    part: Any = next((one for one in network.modules() if hasattr(one, "group_matcher")), None)
    if part is None:
        return []
    from timm.models import group_parameters  # noqa: PLC0415  # imported already, where a network is of timm

    groups = group_parameters(part, part.group_matcher(coarse=False), return_values=True)
    return [groups[number] for number in sorted(groups)]


def _in_order(network: nn.Module) -> list[list[nn.Parameter]]:
    """Return the blocks of any network, in the order in which they were made."""
    layers, own = _with_weights(network), list(network.parameters(recurse=False))
    if len(layers) == 1 and not own:  # it only wraps another
        return _in_order(layers[0])
    blocks: list[list[nn.Parameter]] = []
    for part in (one for layer in layers for one in _opened(layer)):
        weights = list(part.parameters())
        if blocks and all(weight.ndim < 2 for weight in weights):
            blocks[-1] += weights
        else:
            blocks.append(weights)
    if not blocks:
        return [own]
    blocks[0] += own
    return blocks


def _opened(layer: nn.Module) -> list[nn.Module]:
    """Return what a sequence holds, in order; another layer as it is."""
    if not isinstance(layer, nn.Sequential):
        return [layer]
    return [one for part in _with_weights(layer) for one in _opened(part)]


def _with_weights(network: nn.Module) -> list[nn.Module]:
    return [layer for layer in network.children() if next(layer.parameters(), None) is not None]
