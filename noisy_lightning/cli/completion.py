"""noisy-lightning completion: a script for a shell, as jsonargparse and shtab write it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from jsonargparse import ArgumentParser, set_parsing_settings

from noisy_lightning import compat
from noisy_lightning.cli.catalog import kind_of, names
from noisy_lightning.cli.commands import BY_NAME, COMMANDS, Command
from noisy_lightning.cli.help import FIT, own_parser
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.shipped import names as configurations


def run_completion(args: Sequence[str]) -> None:
    """Print the completion script of a shell.

    It completes commands, their own options, the most used keys of fit and what these can name: the script of all keys
    would be 78 MB.

    Args:
        args: The shell.

    Raises:
        InputError: shtab is not installed.
    """
    shell = own_parser(BY_NAME["completion"]).parse_args(args).shell
    if find_spec("shtab") is None:
        raise InputError("completion needs shtab: pip install 'noisy_lightning[completion]'")
    with _completion_asked_for():
        parser = ArgumentParser(prog="noisy-lightning")
        commands = parser.add_subcommands()
        for command in COMMANDS:
            commands.add_subcommand(command.name, _parser(command), help=command.summary)
        try:
            parser.parse_args([f"--print_completion=shtab-{shell}"])
        except SystemExit as end:  # it has been printed
            if end.code:
                raise


@contextmanager
def _completion_asked_for() -> Iterator[None]:
    set_parsing_settings(add_print_completion_argument=True)
    try:
        yield
    finally:
        set_parsing_settings(add_print_completion_argument=False)


def _parser(command: Command) -> ArgumentParser:
    """Return a parser of what is completed after a command."""
    parser = own_parser(command)
    taken = compat.option_strings(parser)
    if command.takes_keys and "--config" not in taken:
        parser.add_argument("--config", choices=[name for name in configurations() if "/" not in name])
    for option in dict.fromkeys(re.findall(r"--[\w.]+\w", FIT)) if command.takes_keys else ():
        kind = kind_of(option[2:])
        if option not in taken and ".help" not in option and option not in ("--config", "--print_config"):
            if kind is None:
                parser.add_argument(option)
            else:
                parser.add_argument(option, choices=names(kind))
    return parser
