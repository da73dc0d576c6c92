"""Which classes a configuration may name: those of the kinds that training is made of, and no functions.

Whoever opens a run folder of somebody else's must not run more than that.
"""

import inspect
import pkgutil
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from lightning.fabric.plugins import ClusterEnvironment
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins import CheckpointIO, LayerSync, Precision
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.data.noise import LabelNoise
from noisy_lightning.data.noise.trained_scores import TrainedScores
from noisy_lightning.errors import InputError
from noisy_lightning.regularizers import GradientRule, Mixing
from noisy_lightning.selectors import Selector

_KINDS = (
    *(nn.Module, Optimizer, LRScheduler, LightningDataModule, LabelNoise, TrainedScores, Selector, Recipe),
    *(GradientRule, Mixing, Callback, Logger, Profiler, Accelerator, Strategy, Precision, CheckpointIO),
    *(ClusterEnvironment, LayerSync),
)


def check_class_paths(config: Any) -> None:
    """Check what the class paths in a configuration lead to.

    The parser sees to it that a class is one that its key asks for where that is a class. Where a key asks for anything
    that can be called, this leaves no more than the classes of which some key asks for.

    Args:
        config: As parsed, or as a checkpoint holds it.

    Raises:
        InputError: One leads to a function, or to a class of another kind.
    """
    for key, named in _named(config, ""):
        found = named
        if isinstance(named, str):
            try:
                found = pkgutil.resolve_name(named)
            except (ImportError, AttributeError, ValueError) as error:
                raise InputError(f"{key}: {named} cannot be imported: {error}") from error
        if not isinstance(found, type) or not issubclass(found, _KINDS):
            name = named if isinstance(named, str) else f"{named.__module__}.{named.__qualname__}"
            raise InputError(f"{key}: {name} is no class of a network, optimizer, scheduler, callback or the like")


def _named(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield the classes that a configuration names, and whatever else it has that can be called, by dotted key."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _named(one, key)
    elif isinstance(value, Mapping | Namespace):
        for name, one in (value if isinstance(value, Mapping) else vars(value)).items():
            if name == "class_path" and isinstance(one, str):
                yield key, one
            else:
                yield from _named(one, key if name == "init_args" else f"{key}.{name}".lstrip("."))
    elif isinstance(value, type) or inspect.isroutine(value):
        yield key, value
