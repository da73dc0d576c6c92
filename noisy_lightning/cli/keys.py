"""The keys of `fit`, said once for every command that takes a configuration."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml
from jsonargparse.typing import register_type

from noisy_lightning import compat
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.help import own_parser
from noisy_lightning.cli.parser import Parser, refused_in_one_line
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.runs.claims import RunOptions, checked_name

TRAINER_DEFAULTS = {
    "use_distributed_sampler": False,  # the loaders shard by themselves
    "num_sanity_val_steps": 0,  # it would draw random numbers that a resumed run does not draw
    "log_every_n_steps": 0,  # everything is logged once per epoch
    "enable_model_summary": False,
}
# A number of batches, or a share of them. Lightning's own order of the two types is that of whoever imported first, and
# `1`, read as a share, would be all batches instead of one.
_BATCHES = {
    "limit_train_batches": ("train on in an epoch", None),
    "limit_val_batches": ("validate on", None),
    "limit_test_batches": ("test on", None),
    "limit_predict_batches": ("predict", None),
    "overfit_batches": ("train on again and again", 0.0),
}
_LINKED = ("num_classes", "in_channels", "num_samples")
_HELP = {
    "config": "Configuration: a file, or the name of one of ours.",
    "seed_everything": "Seed of weights, order and augmentation.",
    "monitor": "What the best epoch is chosen by: the highest accuracy or the lowest loss of validation.",
    "oracle": "Whether monitor, callbacks and lr_scheduler may look at what needs true labels, such as val/acc_true; "
    "marks all results.",
    "test_every_epoch": "Whether fit measures the test sets after every epoch, too, for display and for ledgers; "
    "nothing that it chooses looks at them.",
    "ckpt_path": "Checkpoint to start from, or to evaluate: best, last or a file.",
    "weights_only": "Not used: checkpoints are always loaded as plain data.",
}
# The default of a callback's argument, which a run would else keep as what cannot be read again.
register_type(torch.device, str, torch.device, fail_already_registered=False)
_OTHERS = ("seed_everything", "monitor", "oracle", "test_every_epoch", "ckpt_path", "weights_only")
# That of libyaml, which is faster, where PyYAML has it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def add_training(parser: Parser) -> None:
    """Add all keys of a training run, each with its type."""
    # Not imported for commands that build no model. A short name is looked for among classes that have been imported.
    from noisy_lightning import backbones, losses, methods  # noqa: F401, PLC0415
    from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder  # noqa: PLC0415
    from noisy_lightning.training.module import NoisyClassifier  # noqa: PLC0415

    parser.add_argument("-c", "--config", action=compat.config_file_action(), help=_HELP["config"])
    parser.add_argument("--seed_everything", type=bool | int, default=0, help=_HELP["seed_everything"])
    _add_trainer(parser)
    parser.add_class_arguments(NoisyClassifier, "model", fail_untyped=False, sub_configs=True)
    parser.add_subclass_arguments(NoisyDataModule, "data", fail_untyped=False, required=True)
    parser.add_argument("--monitor", type=str, default="val/acc", help=_HELP["monitor"])
    parser.add_argument("--oracle", type=bool, default=False, help=_HELP["oracle"])
    parser.add_argument("--test_every_epoch", type=bool, default=False, help=_HELP["test_every_epoch"])
    parser.add_class_arguments(SampleRecorder, "recorder", skip={"folder"})
    parser.add_class_arguments(RunOptions, "run")
    parser.add_argument("--ckpt_path", type=str | None, default=None, help=_HELP["ckpt_path"])
    parser.add_argument("--weights_only", type=bool | None, default=None, help=_HELP["weights_only"])
    for name in _LINKED:
        parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")


def add_data(parser: Parser) -> None:
    """Add the keys of a training run for a command that needs no model: what it does not look at is taken as it is."""
    parser.add_argument("-c", "--config", action=compat.config_file_action(), help=_HELP["config"])
    parser.add_subclass_arguments(NoisyDataModule, "data", required=True)
    _add_trainer(parser)
    parser.add_class_arguments(RunOptions, "run")
    parser.unused = ("jobs", "selector", "model", "recorder", *_OTHERS)
    for key in parser.unused:
        parser.add_argument(f"--{key}", type=Any, help="As for fit.")


def _add_trainer(parser: Parser) -> None:
    parser.add_class_arguments(
        L.Trainer, "trainer", skip=set(_BATCHES), fail_untyped=False, instantiate=False, sub_configs=True
    )
    for name, (use, default) in _BATCHES.items():
        text = f"How many batches to {use} (1: one), or which share of them (1.0: all)."
        kind = int | float if default is not None else int | float | None
        parser.add_argument(f"--trainer.{name}", type=kind, default=default, help=text)
    parser.set_defaults({f"trainer.{name}": value for name, value in TRAINER_DEFAULTS.items()})


@cache
def training_parser() -> Parser:
    """Return the parser of fit, validate, test and predict."""
    parser = Parser("fit", "Train a classifier on noisy labels.")
    add_training(parser)
    return parser


def data_parser(name: str) -> Parser:
    """Return the parser of a command that looks at data alone.

    Args:
        name: Of the command.
    """
    compat.silence()
    parser = own_parser(BY_NAME[name])
    add_data(parser)
    return parser


def plain(parser: Parser, config: Any) -> dict[str, Any]:
    """Return a parsed configuration as plain data, as a run keeps it."""
    text = parser.dump(config, skip_none=False, skip_validation=True)  # parsing has checked it
    content: dict[str, Any] = yaml.load(text, Loader=_Loader)
    return content


def resolved(args: Sequence[str]) -> dict[str, Any]:
    """Return the configuration that options of fit amount to, as plain data; nothing is built.

    Raises:
        InputError: An option is unknown, or a value has the wrong type.
    """
    compat.silence()
    parser = training_parser()
    return plain(parser, parser.parse_args(args))


def built_data(parser: Parser, config: Any) -> NoisyDataModule:
    """Return the data module of a parsed configuration, which has not read its images yet.

    Raises:
        InputError: An argument cannot work, or files are not as they should be.
    """
    looked_at = config.clone()
    for key in parser.unused:  # jsonargparse would make what they name, such as a network with weights of the hub
        looked_at[key] = None
    with refused_in_one_line():
        module: NoisyDataModule = parser.instantiate(looked_at).data
    return module


def experiment_of(config: Any) -> str:
    """Return the name of the experiment: the one that is given, or that of the configuration file."""
    files: Sequence[Any] = config.config or ()
    named: str | None = config.run.experiment
    return checked_name(
        "run.experiment", (Path(str(files[0])).stem if files else "default") if named is None else named
    )


def as_yaml(content: Mapping[str, Any]) -> str:
    """Return plain data as YAML, its keys in their order."""
    text: str = yaml.safe_dump(dict(content), sort_keys=False)
    return text
