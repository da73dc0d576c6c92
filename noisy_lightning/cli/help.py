"""Help that fits a screen: what a command takes of its own, the most used keys, and what a key can name."""

import inspect
import re
import textwrap
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from noisy_lightning.cli.catalog import entries, kind_of, named, names
from noisy_lightning.cli.commands import Command
from noisy_lightning.cli.messages import close
from noisy_lightning.cli.parser import Parser
from noisy_lightning.cli.screen import plain_texts
from noisy_lightning.errors import InputError

_KEY = re.compile(r"--([\w.]+)\.help(?:=(.*))?")
# What the package hands to a class that a key names, and a configuration does not.
_HANDED_ON = {
    "backbones": {"num_classes", "in_channels"},
    "methods": {"problem"},
    "optimizer": {"params"},
    "lr_scheduler": {"optimizer"},
}
_OF_TORCH = {"optimizer": "torch.optim", "lr_scheduler": "torch.optim.lr_scheduler"}
FIT = """\
usage: noisy-lightning fit --config FILE [KEYS]

Train a classifier on noisy labels. FILE is a configuration of yours, or the name of one of ours (noisy-lightning
configs lists them); keys on the command line overrule it. The same command continues a run that was interrupted.

data: images and labels
  --data NAME                        data set: noisy-lightning list data
  --data.root FOLDER                 where its files are, or are downloaded to
  --data.noise NAME                  how true labels become wrong ones: noisy-lightning list noise
  --data.noise.rate R                share of labels that it changes, of most kinds of noise
  --data.batch_size N                samples per step of the optimizer, over all devices (128)
  --data.val_fraction R              part of the training set to validate on, with its noisy labels (0.1)
  --data.selection FILE              which samples to train on, as clean writes it
  --data.seed N                      of noise and split (0)

model: network, loss, method, optimizer
  --model.backbone NAME              noisy-lightning list backbones; any of timm by Timm and --model.backbone.name
  --model.loss NAME                  noisy-lightning list losses (CrossEntropy)
  --model.method NAME                noisy-lightning list methods (Standard)
  --model.optimizer NAME             of torch.optim, with --model.optimizer.lr and so on (SGD)
  --model.lr_scheduler NAME          WarmupCosine spans the run step by step, CosineAnnealingLR with T_max 0 by epochs;
                                     of torch.optim.lr_scheduler (--model.lr_scheduler.help WarmupCosine)

trainer: Lightning's
  --trainer.max_epochs N             how long
  --trainer.accelerator, --trainer.devices, --trainer.strategy, --trainer.precision
                                     on what: auto; auto; auto, ddp; 32-true, bf16-mixed, 16-mixed

run: where it is kept
  --run.root FOLDER                  of all runs (runs)
  --run.experiment NAME              folder of runs that belong together (the configuration's name)
  --run.version NAME                 folder of this run (a number, or that of the unfinished run of this configuration)

  --seed_everything N                of weights, order and augmentation (0)
  --monitor NAME                     by what the best epoch is chosen (val/acc)
  --test_every_epoch true            measures the test sets after every epoch, too
  --print_config                     prints the whole configuration and does nothing

All keys of a part, with defaults: noisy-lightning fit --data.help NAME, --model.help, --trainer.help, --run.help,
--recorder.help. What a key can name, and with a name what that takes: --model.loss.help, --model.loss.help GCE,
--data.noise.help Symmetric.
"""


def answered(command: Command, options: Sequence[str]) -> bool:
    """Print the help that a command line asks for, if it does.

    Args:
        command: Which.
        options: What follows it.

    Returns:
        Whether it did.

    Raises:
        InputError: It asks for what there is not.
    """
    if any(option in ("-h", "--help") for option in options):
        print(FIT if command.name == "fit" else _of_command(command), end="")
        return True
    for number, option in enumerate(options):
        if command.takes_keys and (asked := _KEY.fullmatch(option)):
            following = options[number + 1 : number + 2]
            name = asked[2] or (following[0] if following and not following[0].startswith("-") else None)
            print(_of_key(asked[1], name), end="")
            return True
    return False


def own_parser(command: Command) -> Parser:
    """Return a parser of the options that are a command's own."""
    parser = Parser(command.name, command.description)
    parser.usage = f"noisy-lightning {command.name} {command.usage}"
    command.add_own(parser)
    return parser


def _of_command(command: Command) -> str:
    keys = "\nand all keys of fit: noisy-lightning fit --help\n" if command.takes_keys else ""
    return own_parser(command).format_help() + command.also + keys


def _of_key(key: str, name: str | None) -> str:
    """Return what a key takes, or can name."""
    kind = kind_of(key)
    if kind is None and key.rpartition(".")[2] not in _OF_TORCH:
        return _of_part(key)
    if name is None:
        return _names_of(key, kind)
    return _of_class(key, name, kind)


def _names_of(key: str, kind: str | None) -> str:
    """Return the classes that a key can name, a line each."""
    more = f"\nwhat one of them takes: noisy-lightning fit --{key}.help NAME\n"
    if kind is not None:
        return plain_texts(class_rows(kind)) + "\n" + more
    module = _OF_TORCH[key.rpartition(".")[2]]
    found = [
        name for name, value in vars(import_module(module)).items() if inspect.isclass(value) and name[0].isupper()
    ]
    return textwrap.fill(f"classes of {module}: {', '.join(sorted(found))}", 120) + "\n" + more


def class_rows(kind: str) -> list[tuple[str, str]]:
    """Return the classes of a kind: name and aliases; what it is and its source."""
    return [
        (", ".join((one.name, *one.aliases)), f"{one.summary} [{one.source}]" if one.source else one.summary)
        for one in entries(kind)
    ]


def _of_class(key: str, name: str, kind: str | None) -> str:
    """Return the docstring of a class and the keys that its arguments become."""
    found = _class_of(key, named(key, name), kind)
    parser = Parser(f"fit --{key} {name}")
    handed_on = _HANDED_ON.get(kind or key.rpartition(".")[2], set())
    parser.add_class_arguments(found, key, fail_untyped=False, skip=handed_on, sub_configs=True)
    about = (inspect.getdoc(found) or "").partition("\nArgs:")[0].strip()
    if kind is None:  # torch's classes describe themselves in pages of formulas
        about = about.partition("\n\n")[0]
    arguments = re.sub(r"\A.*?\n\n[^\n]*:\n", "", parser.format_help().partition("options:")[2], flags=re.DOTALL)
    return f"{found.__module__}.{found.__qualname__}\n\n{about}\n\nkeys:\n{arguments}"


def _class_of(key: str, name: str, kind: str | None) -> Any:
    """Return the class of a name.

    Raises:
        InputError: There is none.
    """
    paths = [one.class_path for one in entries(kind) if one.name == name] if kind else []
    path = paths[0] if paths else name if "." in name else f"{_OF_TORCH.get(key.rpartition('.')[2])}.{name}"
    module, _, attribute = path.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        hint = close(name, names(kind)) if kind else ""
        raise InputError(
            f"{key}: no class is called '{name}'{hint} (noisy-lightning fit --{key}.help names all)"
        ) from error


def _of_part(part: str) -> str:
    """Return all keys of a part of the configuration, such as trainer."""
    from noisy_lightning.cli.keys import training_parser  # noqa: PLC0415  # imports torch and Lightning

    text = training_parser().format_help()
    lines = text[text.index("options:") :].splitlines()
    chosen, inside = [], False
    for line in lines:
        if option := re.match(r"\s+(?:ARG:\s+)?(--[\w.]+)", line):
            inside = option[1] == f"--{part}" or option[1].startswith(f"--{part}.")
        elif not line.strip():
            inside = False
        if inside:
            chosen.append(line)
    if not chosen:
        raise InputError(f"fit has no key {part}: noisy-lightning fit --help names the most used")
    return "\n".join(chosen) + "\n"
