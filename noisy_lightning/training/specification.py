"""What a model was made of, as plain data: what a checkpoint keeps, and what it is made of again."""

import copy
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from noisy_lightning.errors import InputError

_OBJECT = "given_as_object"


def described(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of a constructor as plain data.

    A class becomes its import path, a `functools.partial` of one that and its arguments. Of any other object no more is
    kept than what it was.

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
    missing = {name: value[_OBJECT] for name, value in specification.items() if _is_object(value) and name not in given}
    if missing:
        named = ", ".join(f"{name}={kind.rpartition('.')[2]}(...)" for name, kind in missing.items())
        raise InputError(
            f"{', '.join(missing)} was given as an object, which no checkpoint holds: give it again, {named}"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(model, "model", fail_untyped=False, instantiate=False, skip=set(given))
    own = {name: copy.deepcopy(value) for name, value in specification.items() if name not in given}
    try:
        built = parser.instantiate_classes(parser.parse_object({"model": own}))
    except (ArgumentError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the model cannot be made again of what was kept: {reason}; give the argument again"
        ) from error
    return {**vars(built.model), **given}


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
