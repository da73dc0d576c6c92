"""Train image classifiers on data whose labels are partly wrong.

The names below are imported when they are first used: the command line's help needs none of what stands behind them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisy_lightning import backbones, losses, methods, regularizers
    from noisy_lightning.data import (
        CIFAR10,
        CIFAR100,
        MNIST,
        Clothing1M,
        Digits,
        FromDataset,
        HuggingFaceFolder,
        ImageArrays,
        ImageFolder,
        ImageTable,
        noise,
    )
    from noisy_lightning.data.loading import recipes as augmentation
    from noisy_lightning.runs.records import load as load_records
    from noisy_lightning.training.callbacks.divergence import Divergence
    from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder
    from noisy_lightning.training.loaded_run import load_run
    from noisy_lightning.training.module import NoisyClassifier

__version__ = "0.1.0"

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "Clothing1M",
    "Digits",
    "Divergence",
    "FromDataset",
    "HuggingFaceFolder",
    "ImageArrays",
    "ImageFolder",
    "ImageTable",
    "NoisyClassifier",
    "SampleRecorder",
    "augmentation",
    "backbones",
    "load_records",
    "load_run",
    "losses",
    "methods",
    "noise",
    "regularizers",
]

_DATA_SETS = (
    *("CIFAR10", "CIFAR100", "MNIST", "Clothing1M", "Digits"),
    *("FromDataset", "HuggingFaceFolder", "ImageArrays", "ImageFolder", "ImageTable"),
)
# Module and name in it of what does not bear the name of a module.
_HOMES = {
    **{name: ("noisy_lightning.data", name) for name in _DATA_SETS},
    "Divergence": ("noisy_lightning.training.callbacks.divergence", "Divergence"),
    "NoisyClassifier": ("noisy_lightning.training.module", "NoisyClassifier"),
    "SampleRecorder": ("noisy_lightning.training.callbacks.sample_recorder", "SampleRecorder"),
    "load_records": ("noisy_lightning.runs.records", "load"),
    "load_run": ("noisy_lightning.training.loaded_run", "load_run"),
}
_ROOMS = {"augmentation": "data.loading.recipes", "noise": "data.noise"}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _HOMES:
        module, attribute = _HOMES[name]
        return getattr(import_module(module), attribute)
    return import_module(f"noisy_lightning.{_ROOMS.get(name, name)}")


def __dir__() -> list[str]:
    """Return the public names, as completion in a notebook wants them."""
    return sorted([*__all__, "__version__"])
