"""Weights from a local file into a network whose classifier may differ."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from noisy_lightning import checkpoint_file
from noisy_lightning.errors import InputError, reason

_logger = logging.getLogger(__name__)


@contextmanager
def classifier_not_needed() -> Iterator[None]:
    """Say nothing of a classifier that starts afresh: only what comes before it is used."""
    _logger.disabled = True
    try:
        yield
    finally:
        _logger.disabled = False


def load_weights(network: nn.Module, weights: dict[str, Tensor], classifiers: Sequence[str], named: str) -> None:
    """Load weights; a classifier of another size stays as it was initialized, and the log says so.

    Args:
        network: the network to fill.
        weights: by name; the names may share a prefix, as in the checkpoints of Lightning.
        classifiers: names of the network's last layers.
        named: what the user calls the weights.

    Raises:
        InputError: if they are those of another network.
    """
    own = network.state_dict()
    weights = _without_prefix(weights, own)
    fresh = [key for key in own if key.rpartition(".")[0] in classifiers and _shape(weights, key) != own[key].shape]
    for key in fresh:
        weights[key] = own[key]
    wrong = [key for key in own if _shape(weights, key) != own[key].shape] + [key for key in weights if key not in own]
    if wrong:
        raise InputError(
            f"weights {named}: {len(wrong)} entries are missing, unexpected or of another shape, "
            f"such as {', '.join(wrong[:3])}; it holds the weights of another network"
        )
    network.load_state_dict(weights)
    if fresh:
        _logger.warning("%s: the classifier is for other classes and starts afresh (%s)", named, ", ".join(fresh))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the weights in a file by name.

    Args:
        path: safetensors, or a torch file that loads with weights_only=True. The weights may lie under "state_dict" or
            "model".

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _of_torch(path)
    except FileNotFoundError as error:
        raise InputError(f"weights {path}: no such file") from error
    except Exception as error:  # the unpickler of weights alone meets foreign bytes with errors of any kind
        raise InputError(
            f"weights {path}: not safetensors, nor a torch file of weights alone as written by "
            f"torch.save(network.state_dict(), path) ({reason(error)})"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"weights {path}: holds a {type(content).__name__} instead of weights by name")
    content = content.get("state_dict", content.get("model", content))
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}


def _of_torch(path: Path) -> Any:
    checkpoint_file.verify(path)  # a checkpoint of ours
    return torch.load(path, "cpu", weights_only=True)


def _without_prefix(weights: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    probe = next(iter(own))
    # The shortest: "layer1.0.conv1.weight" ends in "conv1.weight" too.
    found = min((key for key in weights if key == probe or key.endswith(f".{probe}")), key=len, default=probe)
    prefix = found.removesuffix(probe)
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}


def _shape(weights: dict[str, Tensor], key: str) -> torch.Size | None:
    return weights[key].shape if key in weights else None
