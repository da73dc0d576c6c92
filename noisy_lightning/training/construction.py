"""The networks of a method, made as a configuration asks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import RobustLoss
from noisy_lightning.methods import Method, Problem
from noisy_lightning.methods.parts.pairing import Pairing
from noisy_lightning.regularizers import Mixing

MakeBackbone = Callable[[int, int], nn.Module]
Made = TypeVar("Made")


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


def paired(method: Method, make_mixing: Callable[[], Mixing]) -> Pairing:
    """Return what mixes the images of a method's batches.

    Args:
        method: Which is to be trained on mixed images.
        make_mixing: Returns how two images are mixed.

    Raises:
        InputError: The method cannot be trained on them, or an argument cannot work.
    """
    mixing = made("model.mixing", make_mixing)
    if not method.mixable:
        raise InputError(
            f"model.mixing: {type(mixing).__name__} does not go with {type(method).__name__}, which mixes images "
            "itself, or selects or corrects by what it finds in single images: leave it null"
        )
    return Pairing(mixing)


def made(key: str, make: Callable[..., Made], *arguments: Any) -> Made:
    """Return what a class or a function makes, which a key of the configuration names.

    Raises:
        InputError: It is no class but an object, or an argument cannot work; names the key.
    """
    if not callable(make):
        raise InputError(f"{key}: give the class {type(make).__name__}, or functools.partial of it, not an object")
    with _naming(key):
        return make(*arguments)


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
