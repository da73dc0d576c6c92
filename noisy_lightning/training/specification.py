"""What a model was made of, as plain data: what a checkpoint keeps, and what it is made of again."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from noisy_lightning import checkpoint_file
from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.older_keys import with_present_keys
from noisy_lightning.training.construction import MakeBackbone
from noisy_lightning.training.kinds import check_class_paths

_OBJECT = "given_as_object"


def described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of a constructor as plain data.

    A class becomes its import path, a `functools.partial` of one that and its arguments; a list of numbers and the like
    stays. Of any other object no more is kept than what it was.

    Args:
        arguments: By name.
    """
    return {name: _described(value) for name, value in arguments.items()}


def rebuilt(model: type, specification: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a constructor, made of plain data.

    Args:
        model: The class.
        specification: As `described` returns it, or the part `model` of a configuration.
        given: Arguments, by name, that take the place of those.

    Raises:
        InputError: One was given as an object and is not given again, or cannot be made.
    """
    specification = with_present_keys(specification)
    missing = {name: value[_OBJECT] for name, value in specification.items() if _is_object(value) and name not in given}
    if missing:
        named = ", ".join(f"{name}={kind.rpartition('.')[2]}(...)" for name, kind in missing.items())
        raise InputError(
            f"{', '.join(missing)} was given as an object, which no checkpoint holds: give it again, {named}"
        )
    check_class_paths({name: value for name, value in specification.items() if name not in given})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(model, "model", fail_untyped=False, instantiate=False, skip=set(given))
    own = {name: value for name, value in specification.items() if name not in given}
    try:
        built = parser.instantiate(parser.parse_object({"model": own}))
    except (ArgumentError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the model cannot be made again of what was kept: {reason}; give the argument again"
        ) from error
    return {**vars(built.model), **given}


def made_of(specification: Mapping[str, Any]) -> MakeBackbone:
    """Return the class of a network, with its arguments, that a configuration names.

    Args:
        specification: `class_path` and `init_args`.

    Raises:
        InputError: It cannot be made, or is no network.
    """
    check_class_paths({"network": specification})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=MakeBackbone)
    try:
        make: MakeBackbone = parser.instantiate(
            parser.parse_object({"network": with_present_keys(specification)})
        ).network
    except (ArgumentError, ValueError, TypeError) as error:
        raise InputError(f"data.network cannot be made again: {' '.join(str(error).split())}") from error
    return make


def import_path(found: type) -> str:
    """Return the shortest path below a package by which a class can be imported."""
    path = f"{found.__module__}.{found.__qualname__}"
    parts = found.__module__.split(".")
    for length in range(2, len(parts)):
        shorter = ".".join(parts[:length])
        if getattr(import_module(shorter), found.__qualname__, None) is found:
            return f"{shorter}.{found.__qualname__}"
    return path


def _described(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and _is_plain(value):
        return list(value)
    if isinstance(value, type):
        return {"class_path": import_path(value)}
    if isinstance(value, partial) and isinstance(value.func, type) and not value.args and _is_plain(value.keywords):
        return {"class_path": import_path(value.func), "init_args": dict(value.keywords)}
    return {_OBJECT: f"{type(value).__module__}.{type(value).__qualname__}"}


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping) and _OBJECT in value


def _is_plain(value: Any) -> bool:
    """Return whether a value is numbers, texts and the like, or a list or a mapping of such."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def read_specification(path: Path, map_location: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a checkpoint and what the model in it was made of; of older checkpoints that is read from the run.

    Raises:
        InputError: There is no such file, or nothing says what the model was made of.
    """
    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    checkpoint = checkpoint_file.read(path, map_location)
    if "hyper_parameters" in checkpoint:
        return checkpoint, checkpoint["hyper_parameters"]
    run = RunFolder(path.parent.parent)
    if not run.config.is_file():
        raise InputError(f"{path} is of an older version and not in its run's folder: nothing says how it was made")
    summary, _ = read_manifest(run.path)
    channels = len(run.read_result().get("mean") or ()) or checkpoint_channels(checkpoint)
    dimensions = {"num_classes": summary.num_classes, "in_channels": channels, "num_samples": summary.num_samples}
    return checkpoint, {**run.read_config()["model"], **dimensions}


def checkpoint_channels(checkpoint: Mapping[str, Any]) -> int:
    """Return the channels of the images that the first convolution of a checkpoint takes."""
    weights = (value for value in checkpoint["state_dict"].values() if value.ndim == 4)
    return int(next(weights).shape[1])
