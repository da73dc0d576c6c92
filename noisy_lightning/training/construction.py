"""The networks of a method, made as a configuration asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import RobustLoss
from noisy_lightning.methods import Method, Problem

MakeBackbone = Callable[[int, int], nn.Module]


def build(
    make_method: Callable[[Problem], Method],
    make_backbone: MakeBackbone,
    loss: RobustLoss,
    shape: tuple[int, int, int],
    channels_last: bool,
    compiled: bool,
) -> tuple[Method, list[nn.Module]]:
    """Return a method and the networks that it has asked for.

    Args:
        make_method: Called with the problem.
        make_backbone: Called with (K, C) for each network.
        loss: What one sample costs.
        shape: (K, C, N): classes, channels, samples.
        channels_last: Whether weights lie in memory with the channel last.
        compiled: Whether torch.compile compiles the networks.

    Raises:
        InputError: An argument cannot work; says which.
    """
    classes, channels, samples = shape
    networks: list[nn.Module] = []

    def new_network() -> nn.Module:
        with _naming("model.backbone"):
            network = _network(make_backbone(classes, channels))
            if channels_last:
                network = network.to(memory_format=torch.channels_last)
        if compiled:
            network.compile()
        networks.append(network)
        return network

    with _naming("model.method"):
        method = make_method(Problem(new_network, loss, classes, samples))
    return method, networks


def only(network: nn.Module) -> MakeBackbone:
    """Return what hands a network out once, to a method that takes one.

    Raises:
        ValueError: It is asked for again: a second network would have the weights of the first.
    """
    left = [network]

    def hand_out(num_classes: int, in_channels: int) -> nn.Module:
        if not left:
            raise ValueError(
                "the method takes several networks: give a class or a function of (num_classes, in_channels)"
            )
        return left.pop()

    return hand_out


def _network(made: object) -> nn.Module:
    """Return what a backbone has made, if it is a network.

    Raises:
        ValueError: It is none, or has no weights.
    """
    if not isinstance(made, nn.Module):
        raise ValueError(f"a network must be a torch.nn.Module, got {type(made).__name__}")
    if not any(weight.requires_grad for weight in made.parameters()):
        raise ValueError(f"{type(made).__name__} has no weights to train")
    return made


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Name the key of the configuration in an error of what is built, unless it names one itself."""
    try:
        yield
    except (ValueError, TypeError, RuntimeError) as error:
        text = " ".join(str(error).split())
        if key == "model.backbone" and isinstance(error, TypeError):
            text += " (a network is called with num_classes and in_channels)"
        raise InputError(text if text.startswith("model.") else f"{key}: {text}") from error
