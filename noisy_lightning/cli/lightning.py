"""LightningCLI as this package uses it: what links what, where a run is kept, which weights are loaded."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, final

import lightning as L
import numpy as np
import torch
import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from torch import optim
from torch.utils.tensorboard import SummaryWriter

# Imported for their classes: the command line finds by its short name what has been imported.
from noisy_lightning import backbones, compat, data, losses, methods, selectors
from noisy_lightning.cli.messages import explain
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import replacing
from noisy_lightning.runs.folder import RunFolder, RunOptions, claim_run, existing_run
from noisy_lightning.runs.measures import OF_TRUE_LABELS
from noisy_lightning.runs.summary import evaluation_table
from noisy_lightning.training.callbacks.checkpoints import (
    AtomicCheckpointIO,
    BestCheckpoint,
    LastCheckpoint,
    RandomState,
)
from noisy_lightning.training.callbacks.metrics_table import MetricsTable
from noisy_lightning.training.callbacks.progress_bar import RunProgress
from noisy_lightning.training.callbacks.run_summary import RunSummary
from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder
from noisy_lightning.training.callbacks.step_hooks import NoProfiler
from noisy_lightning.training.callbacks.test_curve import TestCurve
from noisy_lightning.training.module import NoisyClassifier

EVALUATIONS = ("validate", "test", "predict")
TRAINER_DEFAULTS = {
    "use_distributed_sampler": False,  # the loaders shard by themselves
    "num_sanity_val_steps": 0,  # it would draw random numbers that a resumed run does not draw
    "log_every_n_steps": 0,  # everything is logged once per epoch
    "enable_model_summary": False,
}
# Tells the processes that a run starts on this machine which folder theirs is.
RUN_VARIABLE = "NOISY_LIGHTNING_RUN"


def run_command(args: Sequence[str]) -> None:
    """Run one of fit, validate, test and predict.

    Args:
        args: The command, then its options; after an evaluation, a run's folder and a checkpoint may come first.

    Raises:
        InputError: The input cannot work.
    """
    compat.silence()
    command, *options = args
    run: RunFolder | None = None
    checkpoints: list[Path] = []
    if command in EVALUATIONS and options and not options[0].startswith("-"):
        run = existing_run(Path(options.pop(0)))
        named = options and not options[0].startswith("-")
        checkpoints = [run.checkpoint(options.pop(0))] if named else _headline_checkpoints(run)
        options = ["--config", str(run.config), *options]
    inherited = RUN_VARIABLE in os.environ
    try:
        NoisyCLI([command, *options], run, checkpoints)
    except MisconfigurationException as error:
        raise InputError(str(error)) from error
    finally:
        if not inherited:
            os.environ.pop(RUN_VARIABLE, None)


def run_here(command: Sequence[str]) -> None:
    """Run a command line of ours in this process, as if the process had been started with it."""
    with compat.ranks_started_by("noisy_lightning.__main__", ["noisy-lightning", *command]):
        run_command(command)


def _headline_checkpoints(run: RunFolder) -> list[Path]:
    """Return the checkpoint chosen on validation, where there is one, and the last."""
    best = run.checkpoints / "best.ckpt"
    return [*([best] if best.exists() else []), run.checkpoint("last")]


class Parser(LightningArgumentParser):
    """Reports what is wrong in one line, and takes no abbreviated options: a misspelt one would pass as one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "allow_abbrev": False})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an InputError; parsers within this one keep raising their own, which names their place."""
        if not self.exit_on_error:
            super().error(message, ex)
        names = [name for package in (backbones, data, losses, methods, selectors) for name in package.__all__]
        names += [name for package in (optim, optim.lr_scheduler) for name in vars(package) if name[0].isupper()]
        options = [option for option in compat.option_strings(self) if "help" not in option]
        raise InputError(explain(message, names, options)) from None


@compat.keeps_its_configuration
class NoisyCLI(LightningCLI):
    """Parses a command line, builds trainer, model and data, and runs the command.

    Args:
        args: Command and options.
        run: The run to evaluate, if the command names one.
        checkpoints: The weights to evaluate, if the command names a run.
    """

    def __init__(self, args: list[str], run: RunFolder | None = None, checkpoints: Sequence[Path] = ()) -> None:
        self.run_folder, self.evaluated = run, list(checkpoints)
        super().__init__(
            NoisyClassifier,
            NoisyDataModule,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_class=Parser,
            subclass_mode_data=True,
            args=args,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the recorder, the run's place and choice, and link from data to model what both must agree on."""
        parser.add_argument(
            "--monitor",
            type=str,
            default="val/acc",
            help="What the best epoch is chosen by: the highest accuracy or the lowest loss of validation.",
        )
        parser.add_argument(
            "--oracle",
            type=bool,
            default=False,
            help="Whether monitor, callbacks and lr_scheduler may look at what needs true labels, such as "
            "val/acc_true; marks all results.",
        )
        parser.add_argument(
            "--test_every_epoch",
            type=bool,
            default=False,
            help="Whether fit measures the test sets after every epoch, too, for display and for ledgers; nothing that "
            "it chooses looks at them.",
        )
        parser.add_class_arguments(SampleRecorder, "recorder")
        parser.add_class_arguments(RunOptions, "run")
        for name in ("num_classes", "in_channels", "num_samples"):
            parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse `args`; unlike Lightning, without a warning that the process has a command line of its own."""
        self.config = parser.parse_args(args)

    def before_instantiate_classes(self) -> None:
        """Spare an evaluation the pretrained weights that its checkpoint replaces."""
        backbone = self.config[self.subcommand].model.backbone
        if self.subcommand in EVALUATIONS and backbone.class_path == f"{backbones.__name__}.Timm":
            backbone.init_args["pretrained"], backbone.init_args["checkpoint_path"] = False, None

    def instantiate_classes(self) -> None:
        """Build data, model and trainer.

        Raises:
            InputError: A constructor refused its arguments.
        """
        try:
            super().instantiate_classes()
        except InputError:
            raise
        except (ValueError, TypeError) as error:
            raise InputError(explain(str(error))) from error

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer:
        """Build the trainer, with everything that keeps a run where it trains."""
        config = self.config_init[self.subcommand].trainer
        callbacks: list[Callback] = []
        if not self.datamodule.validates:
            kwargs["limit_val_batches"] = 0  # else Lightning warns of an empty loader
        if config.profiler is None:
            kwargs["profiler"] = NoProfiler()
        plugins = [*(config.plugins or []), AtomicCheckpointIO()]
        if self.subcommand == "fit":
            self._check_monitored(config.callbacks or [])
        if self.subcommand == "fit" and not config.fast_dev_run:
            run = self._claim_run()
            kwargs["default_root_dir"] = str(run.path)
            if config.logger in (None, True):
                kwargs["logger"] = TensorBoardLogger(run.path, name="", version="", default_hp_metric=False)
            callbacks += [self.config_init.fit.recorder, RunSummary(run, self.config.fit.oracle), RandomState()]
            callbacks += [TestCurve()] if self.config.fit.test_every_epoch else []
            callbacks += [MetricsTable(run.metrics), *self._checkpoints(run)]
        elif self.subcommand != "fit":
            kwargs["logger"] = False
        if config.enable_progress_bar is not False:
            callbacks.append(RunProgress())  # after the recorder, whose values it shows
        kwargs["plugins"] = plugins
        return super().instantiate_trainer(**kwargs, callbacks=[*(config.callbacks or []), *callbacks])

    def _checkpoints(self, run: RunFolder) -> list[Callback]:
        last = LastCheckpoint(run.checkpoints, self.config_init.fit.run.checkpoint_every_n_steps)
        best = BestCheckpoint(run.checkpoints, self.config.fit.monitor)
        return [best, last] if self.datamodule.validates else [last]

    def _check_monitored(self, callbacks: Sequence[Callback]) -> None:
        """Refuse to train by true labels, unless the configuration says so."""
        monitor: str = self.config.fit.monitor
        if not re.fullmatch(r"val(_\w+)?/\w+", monitor):
            raise InputError(f"monitor: the best epoch is chosen by validation, such as val/acc, got {monitor}")
        scheduler = self.config.fit.model.lr_scheduler
        monitored: list[tuple[str, str | None]] = [("monitor", monitor)]
        monitored += [(f"trainer.callbacks: {type(one).__name__}", getattr(one, "monitor", None)) for one in callbacks]
        monitored += [("model.lr_scheduler.monitor", scheduler and scheduler.init_args.get("monitor"))]
        for where, name in monitored:
            if name and name.rpartition("/")[2] in OF_TRUE_LABELS and not self.config.fit.oracle:
                raise InputError(f"{where}: {name} needs true labels: --oracle true allows it and marks the run")
            if name and name.startswith("test"):
                raise InputError(f"{where}: {name} is of the test set, by which nothing can be chosen")

    def _claim_run(self) -> RunFolder:
        """Find out where this run is kept; the first process decides for all on its machine."""
        options: RunOptions = self.config_init.fit.run
        files = self.config.fit.config
        folder = options.root / (options.experiment or (Path(str(files[0])).stem if files else "default"))
        if RUN_VARIABLE in os.environ:
            self.run_folder = RunFolder(Path(os.environ[RUN_VARIABLE]))
            return self.run_folder
        rank, processes = compat.started_by_others()
        if processes > 1 and options.version is None:
            raise InputError("run.version: name the run where several processes start by themselves (torchrun, Slurm)")
        if rank > 0:
            self.run_folder = RunFolder(folder / str(options.version))
            return self.run_folder
        config = self._plain(self.config.fit)
        self.run_folder = claim_run(folder, options.version, options.resume, config)
        os.environ[RUN_VARIABLE] = str(self.run_folder.path)
        if not self.run_folder.config.exists():
            self.run_folder.config.write_text(yaml.safe_dump({**config, "ckpt_path": None}, sort_keys=False))
        return self.run_folder

    def _plain(self, config: Any) -> dict[str, Any]:
        """Return a parsed configuration of fit as plain data."""
        plain: dict[str, Any] = yaml.safe_load(compat.subcommand_parser(self, "fit").dump(config, skip_none=False))
        return plain

    def fit(self, **arguments: Any) -> None:
        """Train, from where an earlier process of this run came to."""
        run = self.run_folder
        if run is None:
            self.trainer.fit(**arguments)
            return
        try:
            if (last := run.checkpoints / "last.ckpt").exists():
                arguments["ckpt_path"] = str(last)
                if self.trainer.is_global_zero:
                    print(f"continuing {run.path} from its last checkpoint")
            elif arguments["ckpt_path"] is not None:
                arguments["ckpt_path"] = str(run.checkpoint(arguments["ckpt_path"]))
            self.trainer.fit(**arguments)
        except InputError:
            if self.trainer.is_global_zero:
                run.discard_unstarted()
            raise
        except compat.INTERRUPTION:
            print(f"interrupted: the same command continues {run.path}", file=sys.stderr)
            raise SystemExit(130) from None
        finally:
            run.unlock()
        if run.finished and self.trainer.is_global_zero:
            print(f"next: noisy-lightning test {run.path}, tensorboard --logdir {run.path.parent.parent}")

    def validate(self, **arguments: Any) -> None:
        """Validate the chosen weights."""
        if not self.datamodule.validates:
            raise InputError("data.validation: there is no validation part")
        self._evaluate("validate", arguments)

    def test(self, **arguments: Any) -> None:
        """Test the chosen weights, and add what came out to the run's result."""
        self._evaluate("test", arguments)

    def predict(self, **arguments: Any) -> None:
        """Save what the chosen weights make of the whole training set, in its original order."""
        if self.trainer.world_size > 1:
            raise InputError("predict runs in one process: --trainer.devices 1 --trainer.strategy auto")
        for path in self._weights(arguments.pop("ckpt_path")):
            arguments["return_predictions"] = True
            batches = self.trainer.predict(**arguments, ckpt_path=str(path))
            assert batches is not None
            columns = {name: torch.cat([batch[name] for batch in batches]).cpu() for name in batches[0]}
            order = columns["index"].argsort()
            folder = self.run_folder.path if self.run_folder else path.parent
            file = folder / f"predictions_{path.stem}.npz"
            arrays: dict[str, Any] = {name: column[order].numpy() for name, column in columns.items()}
            with replacing(file) as staged, staged.open("wb") as archive:
                np.savez_compressed(archive, **arrays)
            print(f"{file}: {', '.join(f'{name} {tuple(column.shape)}' for name, column in columns.items())}")

    def _evaluate(self, command: str, arguments: dict[str, Any]) -> None:
        """Measure each of the chosen weights, print a table and add it to the run's result."""
        measured, epochs = {}, []
        for path in self._weights(arguments.pop("ckpt_path")):
            measured[path.stem] = getattr(self.trainer, command)(
                **{**arguments, "verbose": False}, ckpt_path=str(path)
            )[0]
            epochs.append(self.model.loaded_epoch)
        if not self.trainer.is_global_zero:
            return
        if command == "test" and self.run_folder is not None:
            self._draw(self.run_folder, zip(epochs, measured.values(), strict=True))
        result: dict[str, Any] = {"oracle": self.config[self.subcommand].oracle}
        if self.run_folder is not None:
            result = self.run_folder.read_result()
            result[command] = result.get(command, {}) | measured
            self.run_folder.write_result(result)
        print(evaluation_table(command, measured, result, self.run_folder.path if self.run_folder else None))

    def _draw(self, run: RunFolder, measured: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Put what a test measured on the run's board, at the epochs that the weights come from."""
        with SummaryWriter(run.path) as board:
            for epoch, metrics in measured:
                for name, value in metrics.items():
                    board.add_scalar(name, value, epoch)

    def _weights(self, given: str | None) -> list[Path]:
        """Return the checkpoint files to evaluate; never the random weights that Lightning would take."""
        if given is not None:
            return [RunFolder(Path()).checkpoint(given)]
        if not self.evaluated:
            raise InputError(f"{self.subcommand} needs weights: name a run's folder first, or give --ckpt_path FILE")
        return self.evaluated


@final
class FitParser(NoisyCLI):
    """Parses command lines of fit and runs none of them."""

    def __init__(self) -> None:
        compat.silence()
        super().__init__([])

    def resolve(self, args: Sequence[str]) -> dict[str, Any]:
        """Return the configuration that options of fit amount to, as plain data, as a run of them would keep it.

        Raises:
            InputError: An option is unknown, or a value has the wrong type.
        """
        return self._plain(self.parser.parse_args(["fit", *args]).fit)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Leave the command line alone."""
        self.config = Namespace(subcommand=None, seed_everything=False)  # type: ignore[no-untyped-call]

    def before_instantiate_classes(self) -> None:
        """Prepare nothing."""

    def instantiate_classes(self) -> None:
        """Build nothing."""
