"""Tries a network and a loss on two images before a run begins: what fails there would fail an epoch later."""

import copy
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.losses import RobustLoss
from noisy_lightning.methods.parts.inference import evaluating
from noisy_lightning.types import Step

_IMAGES = 2
_PACKAGES = "site-packages"


def normalize_as_pretrained(data: NoisyDataModule, networks: Sequence[nn.Module]) -> None:
    """Have images normalized as those that pretrained weights were trained on; see `Timm.inputs`.

    Args:
        data: The data set, whose mean and deviation stay where they were given.
        networks: As they are before training; the others are like the first.
    """
    inputs = getattr(networks[0], "inputs", None) if networks else None
    if inputs is not None:
        data.normalize_by(inputs.mean, inputs.std)


def try_parts(
    networks: Sequence[nn.Module], loss: RobustLoss, data: NoisyDataModule, channels_last: bool, devices: int
) -> None:
    """Check that a network takes the images of a data set and a loss what it makes of them.

    Args:
        networks: As they are before training; the first is tried, the others are of its kind.
        loss: The loss.
        data: The data set.
        channels_last: Whether images lie in memory with the channel last.
        devices: How many share a batch.

    Raises:
        InputError: One of them does not.
    """
    share = data.batch_size // devices
    check_loss(loss, check_network(networks[0], data.num_classes, data.image_shape, channels_last, share))


def check_network(
    network: nn.Module, num_classes: int, image_shape: tuple[int, int, int], channels_last: bool, batch_size: int
) -> Tensor:
    """Check that a network makes logits of images; neither it nor a generator of random numbers is changed.

    Args:
        network: As it is before training.
        num_classes: K.
        image_shape: (H, W, C).
        channels_last: Whether images lie in memory with the channel last.
        batch_size: Images that it is trained on at a time.

    Returns:
        Logits (2, K).

    Raises:
        InputError: It does not.
    """
    height, width, channels = image_shape
    name = type(network).__name__
    image = torch.zeros(_IMAGES, channels, height, width)
    image = image.to(memory_format=torch.channels_last) if channels_last else image
    what = f"images of {height}×{width} pixels and {channels} channel{'s' * (channels > 1)}"
    try:
        with evaluating(network):
            logits: Any = _forward(network, image)
    except InputError:
        raise
    except Exception as error:  # whatever a network of the user's own raises
        remedy = "; model.backbone.image_size resizes them" if getattr(network, "image_size", 0) is None else ""
        raise InputError(f"model.backbone: {name} cannot take {what}{remedy}: {_reason(error)}") from error
    if not isinstance(logits, Tensor) or logits.shape != (_IMAGES, num_classes):
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise InputError(
            f"model.backbone: {name} returns {found} for {_IMAGES} {what}, and must return logits "
            f"({_IMAGES}, {num_classes})"
        )
    if batch_size == 1:
        try:
            _forward(copy.deepcopy(network).train(), image[:1])
        except ValueError as error:  # batch normalization refuses a single value
            raise InputError(f"data.batch_size must be at least 2 per device for {name}: {_reason(error)}") from error
    return logits


def check_loss(loss: RobustLoss, logits: Tensor) -> None:
    """Check that a loss returns one number per sample.

    Args:
        loss: The loss.
        logits: (B, K).

    Raises:
        InputError: It does not.
    """
    name = type(loss).__name__
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            losses: Any = loss(logits, torch.zeros(len(logits), dtype=torch.int64))
    except InputError:
        raise
    except Exception as error:  # whatever a loss of the user's own raises
        raise InputError(f"model.loss: {name} fails: {_reason(error)}") from error
    if not isinstance(losses, Tensor) or losses.shape != logits.shape[:1]:
        found = f"shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else f"a {type(losses).__name__}"
        raise InputError(
            f"model.loss: {name} returns {found} for {len(logits)} samples, and must return one loss per sample, "
            f"({len(logits)},): a loss never averages"
        )


def check_step(method: nn.Module, step: Step, count: int) -> None:
    """Check that a step of a method has one loss per sample.

    Args:
        method: Whose step it is.
        step: What it returned.
        count: Samples of the batch.

    Raises:
        InputError: It has not.
    """
    if step.losses.shape != (count,):
        raise InputError(
            f"model.method: the step of {type(method).__name__} returns losses of shape {tuple(step.losses.shape)}, "
            f"and must return one per sample, ({count},)"
        )


def _forward(network: nn.Module, image: Tensor) -> Any:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        return network.forward(image)  # past torch.compile, which need not see two images


def _reason(error: Exception) -> str:
    """Return what an error says, and where in the user's code it comes from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGES not in frame.filename]
    own = [frame for frame in frames if not Path(frame.filename).is_relative_to(Path(__file__).parents[1])]
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{' '.join(str(error).split()) or type(error).__name__}{place}"
