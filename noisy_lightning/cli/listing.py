"""noisy-lightning list and configs: what there is to choose from."""

from collections.abc import Sequence

from noisy_lightning.cli.catalog import KINDS, entries
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.help import class_rows, own_parser
from noisy_lightning.cli.screen import print_texts
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.shipped import find_config, names, summary


def run_list(args: Sequence[str]) -> None:
    """Print what a configuration can name, a line each.

    Args:
        args: The kind, or nothing for all of them.

    Raises:
        InputError: There is no such kind.
    """
    kind = own_parser(BY_NAME["list"]).parse_args(args).kind
    if kind is None:
        print_texts([(one, ", ".join(entry.name for entry in entries(one))) for one in KINDS])
        return
    if kind not in KINDS:
        raise InputError(f"list: there is no kind {kind!r}, but {', '.join(KINDS)}")
    print_texts(class_rows(kind))


def run_configs(args: Sequence[str]) -> None:
    """Print which configurations come with the package, a line each, or one of them.

    Args:
        args: The name of a configuration, or nothing.

    Raises:
        InputError: There is none of this name.
    """
    name = own_parser(BY_NAME["configs"]).parse_args(args).name
    if name is not None:
        sweeps = [one.rpartition("/")[2] for one in names() if "/" in one]
        path = find_config(name, sweep=name in sweeps)
        print(path.read_text(encoding="utf-8"), end="")
        return
    print_texts([(one, summary(one)) for one in names()])
