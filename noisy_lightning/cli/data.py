"""The options of commands that look at the data of a configuration and need no model."""

from pathlib import Path
from typing import Any

import lightning as L

from noisy_lightning import compat
from noisy_lightning.cli.lightning import Parser
from noisy_lightning.cli.messages import explain
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunOptions

# What else a configuration has for fit and clean; not checked, so that the same file serves all.
_OF_FIT = (
    *("jobs", "selector", "seed_everything", "model", "recorder", "monitor", "oracle", "test_every_epoch"),
    *("ckpt_path", "weights_only"),
)


def data_parser(command: str, description: str) -> Parser:
    """Return a parser that takes a configuration of fit.

    Args:
        command: Name of the command.
        description: What it does, for its help.
    """
    compat.silence()
    parser = Parser(prog=f"noisy-lightning {command}", description=description)
    parser.add_argument(
        "-c", "--config", action=compat.config_file_action(), help="Path to a configuration file, such as one for fit."
    )
    parser.add_subclass_arguments(NoisyDataModule, "data", required=True)
    parser.add_lightning_class_args(L.Trainer, "trainer")
    parser.add_class_arguments(RunOptions, "run")
    for key in _OF_FIT:
        parser.add_argument(f"--{key}", type=Any, help="As for fit.")
    return parser


def built_data(parser: Parser, config: Any) -> NoisyDataModule:
    """Return the data module of a parsed configuration, which has not read its images yet.

    Raises:
        InputError: An argument cannot work, or files are not as they should be.
    """
    try:
        data: NoisyDataModule = parser.instantiate_classes(config).data
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(explain(str(error))) from error
    return data


def experiment_of(config: Any) -> str:
    """Return the name that the experiment has in fit."""
    name: str = config.run.experiment or (Path(str(config.config[0])).stem if config.config else "default")
    return name
