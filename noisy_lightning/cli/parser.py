"""The parser of every command: what is wrong in one line, no abbreviations, the field's short names.

It needs neither torch nor Lightning, so that help is there at once.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, get_loader, set_loader

from noisy_lightning import compat
from noisy_lightning.cli.catalog import KINDS, PACKAGE, kind_of, long_name
from noisy_lightning.cli.messages import explain
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.shipped import find_config

_MODE = "yaml with short names"
_CONFIG = ("-c", "--config")
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
        if command:  # not a parser that jsonargparse makes for the arguments of a class
            arguments |= {"prog": f"noisy-lightning {command}", "description": description, "parser_mode": _MODE}
        super().__init__(**{**arguments, "allow_abbrev": False})

    def parse_args(self, args: Sequence[str], **options: Any) -> Any:  # type: ignore[override]
        """Return what a command line says: aliases become classes, and names of our configurations their files."""
        words = with_long_names(args)
        if self._command:
            words = with_files(words, sweep=self._command == "sweep")
        return super().parse_args(words, **options)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an InputError; parsers within this one keep raising their own, which names their place."""
        if not self.exit_on_error:
            super().error(message, ex)
        options = [option for option in compat.option_strings(self) if "help" not in option]
        text = explain(message, options)
        raise InputError(f"{self._command}: {text}" if text.startswith("needs ") else text) from None

    def dump(self, *args: Any, **options: Any) -> str:
        """Return a configuration as text, with the class paths that configurations have always had."""
        return _OURS.sub(lambda found: _homes().get(found[1], found[0]), super().dump(*args, **options))


@contextmanager
def in_one_line() -> Iterator[None]:
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
        InputError: A configuration is neither a file nor one of ours.
    """
    found: list[str] = []
    for word in args:
        option, equals, value = word.partition("=")
        if found and found[-1] in _CONFIG and not word.startswith("-"):
            found.append(str(find_config(word, sweep)))
        else:
            found.append(f"{option}={find_config(value, sweep)}" if equals and option in _CONFIG else word)
    return found


def _class_at(key: str, value: str) -> str:
    kind = kind_of(key.removesuffix(".help"))
    return value if kind is None else long_name(kind, value)


def _load(text: str) -> Any:
    """Read YAML as jsonargparse does, and put the class for each alias."""
    return _resolved("", get_loader("yaml")(text))


def _resolved(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        path = value.get("class_path")
        own = {name: _resolved(str(name), one) for name, one in value.items()}
        return own | {"class_path": long_name(kind_of(key), path)} if isinstance(path, str) else own
    if isinstance(value, list):
        return [_resolved(key, one) for one in value]
    return long_name(kind_of(key), value) if isinstance(value, str) and kind_of(key) else value


def _homes() -> dict[str, str]:
    """Return the class path of each of our classes that a configuration can hold, by its name."""
    packages = {f"{PACKAGE.name}.{package}" for package, _, _ in KINDS.values()} & sys.modules.keys()
    return {name: f"{package}.{name}" for package in packages for name in sys.modules[package].__all__}


set_loader(_MODE, _load, (yaml.YAMLError,))
