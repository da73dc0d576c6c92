"""The parser of every command: what is wrong in one line, no abbreviations, the field's short names.

It needs neither torch nor Lightning, so that help is there at once.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from noisy_lightning import compat
from noisy_lightning.cli.catalog import KINDS, PACKAGE, SCHEDULERS, kind_of, long_name, named
from noisy_lightning.cli.messages import explain
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.shipped import find_config
from noisy_lightning.runs.older_keys import with_present_keys
from noisy_lightning.runs.yaml_file import check_yaml, read_yaml

_MODE = "yaml with short names"
_CONFIG = ("-c", "--config")
# Keys of classes, which no parser lists; whoever looks for one of them by the end of its name finds it.
_OF_CLASSES = (
    *("--data.batch_size", "--data.noise", "--data.noise.rate", "--data.root", "--data.seed", "--data.selection"),
    *("--data.val_fraction", "--data.workers", "--model.optimizer.lr", "--model.optimizer.weight_decay"),
)
# A class of ours by any of its paths; what a run keeps has the one that configurations have always had.
_OURS = re.compile(r"\bnoisy_lightning(?:\.\w+)*\.(\w+)\b(?!\.)")


class Parser(ArgumentParser):
    """Reports what is wrong in one line, and takes no abbreviated options: a misspelled one would pass as one.

    Args:
        command: Which of `noisy-lightning`.
        description: What it does, for its help.
    """

    def __init__(self, command: str = "", description: str = "", **arguments: Any) -> None:
        self._command = command
        self.unused: tuple[str, ...] = ()  # keys that are taken as they are, since the command builds nothing of them
        if command:  # not a parser that jsonargparse makes for the arguments of a class
            arguments |= {"prog": f"noisy-lightning {command}", "description": description, "parser_mode": _MODE}
        super().__init__(**{**arguments, "allow_abbrev": False})

    def parse_args(self, args: Sequence[str], **options: Any) -> Any:  # type: ignore[override]
        """Return what a command line says: aliases become classes, and names of our configurations their files."""
        words = with_long_names(args)
        if self._command:
            words = with_files(words, sweep=self._command == "sweep")
        config = super().parse_args(words, **options)
        if self._command and "data" in config:  # else nothing names a class
            from noisy_lightning.training.kinds import check_class_paths  # noqa: PLC0415  # which needs torch

            check_class_paths({key: value for key, value in vars(config).items() if key not in self.unused})
        return config

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an InputError; parsers within this one keep raising their own, which names their place."""
        if not self.exit_on_error:
            super().error(message, ex)
        options = [option for option in compat.option_strings(self) if "help" not in option]
        text = explain(message, [*options, *(_OF_CLASSES if "--data" in options else ())])
        if text.startswith("needs "):
            text = f"{self._command} {text}{' (--config FILE, or --data NAME)' * (text == 'needs data')}"
        raise InputError(text) from None

    def dump(self, *args: Any, **options: Any) -> str:
        """Return a configuration as text, with the class paths that configurations have always had."""
        with compat.texts_kept_as_texts():
            text = super().dump(*args, **options)
        return _OURS.sub(lambda found: _homes().get(found[1], found[0]), text)


@contextmanager
def refused_in_one_line() -> Iterator[None]:
    """Turn an error of a constructor that got wrong values into an InputError."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(explain(str(error))) from error


def with_long_names(args: Sequence[str]) -> list[str]:
    """Return a command line in which each alias has become the class that it stands for."""
    resolved: list[str] = []
    key = ""
    for word in args:
        option, equals, value = word.partition("=")
        if word.startswith("--"):
            key = option[2:]
            resolved.append(f"{option}={_class_at(key, value)}" if equals else word)
        else:
            resolved.append(_class_at(key, word))
            key = ""
    return resolved


def with_files(args: Sequence[str], sweep: bool = False) -> list[str]:
    """Return a command line in which each configuration is a file that is there.

    Args:
        args: The command line.
        sweep: Whether the configurations are those of sweeps.

    Raises:
        InputError: A configuration is neither a file nor one of ours, or holds something else.
    """
    found: list[str] = []
    for word in args:
        option, equals, value = word.partition("=")
        if found and found[-1] in _CONFIG and not word.startswith("-"):
            found.append(_config_file(word, sweep))
        else:
            found.append(f"{option}={_config_file(value, sweep)}" if equals and option in _CONFIG else word)
    return found


def _config_file(name: str, sweep: bool) -> str:
    """Return the file of a configuration, once it is known to hold one."""
    path = find_config(name, sweep)
    content = read_yaml(path, "config")
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise InputError(f"config: {path} {found}; it must be a mapping of keys, such as trainer, data and model")
    if "axes" in content and not sweep:
        raise InputError(f"config: {path} is the grid of a sweep: noisy-lightning sweep --config {name}")
    return str(path)


def _class_at(key: str, value: str) -> str:
    if value.startswith("[") and kind_of(key) is not None:  # several classes
        with suppress(ValueError, TypeError, yaml.YAMLError):
            return json.dumps(_resolved(key, _checked(value)))
    return named(key.removesuffix(".help"), value)


def _load(text: str) -> Any:
    """Read YAML as jsonargparse does, and put the class for each alias, and today's keys for older ones."""
    return _resolved("", with_present_keys(_checked(text)))


def _checked(text: str) -> Any:
    """Read YAML as jsonargparse does, but nothing that takes forever, and with one kind of error."""
    try:
        check_yaml(text)
        return _read(text)
    except (ValueError, TypeError) as error:  # such as that !!float stands before what is no number
        raise yaml.YAMLError(str(error)) from error


def _resolved(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        path = value.get("class_path")
        own = {name: _resolved(str(name), one) for name, one in value.items()}
        if isinstance(path, str):  # at the top of a value no key is known
            own["class_path"] = named(key, path) if key else SCHEDULERS.get(path, long_name(None, path))
        return own
    if isinstance(value, list):
        return [_resolved(key, one) for one in value]
    return named(key, value) if isinstance(value, str) else value


def _homes() -> dict[str, str]:
    """Return the class path of each of our classes that a configuration can hold, by its name."""
    packages = {f"{PACKAGE.name}.{package}" for package, _, _ in KINDS.values()} & sys.modules.keys()
    return {name: f"{package}.{name}" for package in packages for name in sys.modules[package].__all__}


_read = get_loader("yaml")
set_loader("yaml", _checked, (yaml.YAMLError,))  # which values of some types are read by
set_loader(_MODE, _load, (yaml.YAMLError,))
