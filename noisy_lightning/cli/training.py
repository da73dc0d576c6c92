"""noisy-lightning fit: one training run in a folder of its own, from wherever an earlier process came to."""

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from noisy_lightning import checkpoint_file, compat
from noisy_lightning.backbones.pretrained import checkpoint_follows
from noisy_lightning.cli.keys import as_yaml, experiment_of, plain, training_parser
from noisy_lightning.cli.parser import refused_in_one_line
from noisy_lightning.cli.trainer_keys import (
    building_the_trainer,
    check_callbacks,
    check_seed,
    check_trainer,
    check_validation,
    keeps_nothing,
    what_lightning_refuses,
)
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.data.sets.unread import BrokenList
from noisy_lightning.errors import InputError, storing
from noisy_lightning.runs.claims import RunOptions, claim_run, claim_shorter
from noisy_lightning.runs.files import write_text
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.identity import length_of
from noisy_lightning.runs.measures import OF_TRUE_LABELS
from noisy_lightning.training.callbacks.announcement import Announcement, watching
from noisy_lightning.training.callbacks.checkpoints import (
    AtomicCheckpointIO,
    BestCheckpoint,
    LastCheckpoint,
    RandomState,
)
from noisy_lightning.training.callbacks.divergence import Divergence
from noisy_lightning.training.callbacks.extension import Extension
from noisy_lightning.training.callbacks.hyper_parameters import HyperParameters
from noisy_lightning.training.callbacks.metrics_table import MetricsTable
from noisy_lightning.training.callbacks.progress_bar import RunProgress
from noisy_lightning.training.callbacks.run_summary import RunSummary
from noisy_lightning.training.callbacks.step_hooks import NoProfiler
from noisy_lightning.training.callbacks.test_curve import TestCurve
from noisy_lightning.training.callbacks.time_limit import TimeIsUpError, TimeLimit
from noisy_lightning.training.length import why_length_matters
from noisy_lightning.training.module import NoisyClassifier

# Names the run's folder to the processes that it starts on this machine.
RUN_VARIABLE = "NOISY_LIGHTNING_RUN"


@final
class NoisyCLI(LightningCLI):
    """Lightning's command line as this package uses it: data and model of one configuration, and trainers for them.

    Args:
        args: Options of `fit`.
        weights_follow: Whether a checkpoint will replace the weights of the network: then none are looked for.

    Raises:
        InputError: An option is unknown, or a constructor refused its arguments.
    """

    def __init__(self, args: Sequence[str], weights_follow: bool = False) -> None:
        compat.silence()
        self._weights_follow = weights_follow
        super().__init__(
            NoisyClassifier,
            NoisyDataModule,
            save_config_callback=None,
            seed_everything_default=0,
            args=list(args),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def setup_parser(
        self, add_subcommands: bool, main_kwargs: dict[str, Any], subparser_kwargs: dict[str, Any]
    ) -> None:
        """Take the parser that all commands share."""
        self.parser = compat.for_lightning(training_parser())  # which needs none of what Lightning's adds

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse `args`; unlike Lightning, without a warning that the process has a command line of its own."""
        self.config = parser.parse_args(args)
        check_seed(self.config.seed_everything)

    def instantiate_classes(self) -> None:
        """Build data and model; a command builds the trainer that it needs."""
        with checkpoint_follows() if self._weights_follow else nullcontext(), refused_in_one_line():
            self.config_init = self.parser.instantiate(self.config)
        self.datamodule, self.model = self.config_init.data, self.config_init.model

    def new_trainer(self, callbacks: Sequence[Callback] = (), **options: Any) -> L.Trainer:
        """Return a trainer of this configuration.

        Args:
            callbacks: Further ones, after those of the configuration.
            **options: Of the trainer, in place of those of the configuration.

        Raises:
            InputError: Lightning refuses the configuration.
        """
        config = self.config_init.trainer
        if not self.datamodule.validates:
            options["limit_val_batches"] = 0  # else Lightning warns of an empty loader
        if config.profiler is None and not config.barebones:
            options["profiler"] = NoProfiler()
        options["plugins"] = [*_as_list(config.plugins), AtomicCheckpointIO()]
        shows = config.enable_progress_bar is not False and not config.barebones
        shown = [RunProgress()] if shows else []  # after what it shows values of
        options["callbacks"] = [*self.callbacks, *callbacks, *shown]
        with building_the_trainer(self.config.trainer):
            return self.instantiate_trainer(**options)

    @property
    def callbacks(self) -> list[Callback]:
        """Those of the configuration, which may name one without a list."""
        return _as_list(self.config_init.trainer.callbacks)


def run_fit(args: Sequence[str]) -> None:
    """Train one configuration, or go on with it.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work.
    """
    cli = NoisyCLI(args)
    check_trainer(cli.config.trainer)
    _check_monitored(cli.config, cli.callbacks)
    if cli.datamodule.validates:
        check_validation(cli.config.trainer)
    check_callbacks(cli.callbacks, cli.model.channels_last)
    if cause := keeps_nothing(cli.config.trainer):
        _try(cli, cause)
        return
    inherited = RUN_VARIABLE in os.environ
    run = _claimed(cli)
    cli.datamodule.list_broken(BrokenList(run.path))
    try:
        with storing(lambda: _kept(run)):
            _train(cli, run)
    except (compat.INTERRUPTION, KeyboardInterrupt):
        print(f"interrupted: the same command continues {run.path}", file=sys.stderr)
        raise SystemExit(130) from None
    except TimeIsUpError:
        print(f"trainer.max_time is over: the same command continues {run.path}")
    finally:
        run.unlock()
        if not inherited:
            os.environ.pop(RUN_VARIABLE, None)


def _train(cli: NoisyCLI, run: RunFolder) -> None:
    """Train in a claimed folder, which is removed again if training cannot begin."""
    config, options = cli.config, cli.config_init.run
    last, limit = run.checkpoints / "last.ckpt", cli.config_init.trainer.max_time
    goes_on = last.exists()
    summary, shown = RunSummary(run, config.oracle), HyperParameters(run)
    arguments: dict[str, Any] = {"default_root_dir": str(run.path), "max_time": None}
    if cli.config_init.trainer.logger in (None, True):
        arguments["logger"] = TensorBoardLogger(run.path, name="", version="", default_hp_metric=False)
    first = True
    try:
        given = None if config.ckpt_path is None else run.checkpoint(config.ckpt_path)
        checkpoint = last if goes_on else given
        callbacks: list[Callback] = [
            Divergence(run, options.stop_when_diverged),
            cli.config_init.recorder,
            summary,
            shown,
        ]
        callbacks += [Announcement(run, checkpoint), RandomState()]
        callbacks += [TestCurve()] if config.test_every_epoch else []
        callbacks += [MetricsTable(run.metrics, goes_on)]
        callbacks += [BestCheckpoint(run.checkpoints, config.monitor)] if cli.datamodule.validates else []
        callbacks += [LastCheckpoint(run.checkpoints, options.checkpoint_every_n_steps)]
        callbacks += [Extension(run, _settings(plain(training_parser(), config)))] if options.extend else []
        with building_the_trainer(config.trainer):
            callbacks += [TimeLimit(limit, last)] if limit is not None else []
        trainer = cli.new_trainer(callbacks, **arguments)
        first = trainer.is_global_zero
        _fit(cli, trainer, checkpoint)
        if goes_on and not run.finished:  # it was killed after its last epoch: there was nothing left to train
            summary.write(trainer, cli.model)
            shown.on_train_end(trainer, cli.model)
    except InputError:
        if first:
            run.discard_unstarted()
        raise
    if run.finished and first:
        test = f"noisy-lightning test {shlex.quote(str(run.path))}"
        print(f"next: {', '.join([test, *watching(trainer.loggers, run)])}")


def _try(cli: NoisyCLI, cause: str) -> None:
    """Train without a folder, for its own sake or for the time that it takes."""
    logger = False if cli.config_init.trainer.logger in (None, True) else cli.config_init.trainer.logger
    trainer = cli.new_trainer([Divergence(stop=cli.config_init.run.stop_when_diverged)], logger=logger)
    started = time.monotonic()
    _fit(cli, trainer, cli.config.ckpt_path)
    if trainer.is_global_zero:
        seconds = time.monotonic() - started
        print(
            f"nothing is kept, by {cause}: {trainer.current_epoch} epochs, {trainer.global_step} steps, {seconds:.2f} s"
        )


def _kept(run: RunFolder) -> str:
    """Return what is left of a run whose files could not be written."""
    if not run.config.is_file():
        return f"the folder {run.path} has been deleted or moved while the run was going on"
    if not (run.checkpoints / "last.ckpt").exists():
        return f"no epoch of {run.path} has been kept: the same command begins it again"
    return f"{run.path} is kept as its last checkpoint has it: the same command continues it from there"


def _fit(cli: NoisyCLI, trainer: L.Trainer, checkpoint: Path | str | None) -> None:
    with what_lightning_refuses():
        trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=None if checkpoint is None else str(checkpoint))


def _claimed(cli: NoisyCLI) -> RunFolder:
    """Find out where this run is kept; the first process decides for all on its machine."""
    options: RunOptions = cli.config_init.run
    folder = options.root / experiment_of(cli.config)
    if RUN_VARIABLE in os.environ:
        return RunFolder(Path(os.environ[RUN_VARIABLE]))
    rank, processes = compat.started_by_others()
    if processes > 1 and options.version is None:
        raise InputError("run.version: name the run where several processes start by themselves (torchrun, Slurm)")
    if rank > 0:
        return RunFolder(folder / str(options.version))
    config = plain(training_parser(), cli.config)
    cli.model.specification |= config["model"]  # which says more of classes than what was made of them
    run = _longer(cli, folder, config) if options.extend else claim_run(folder, options.version, options.resume, config)
    if not run.config.exists():
        write_text(run.config, _settings(config))
    os.environ[RUN_VARIABLE] = str(run.path)
    return run


def _settings(config: Mapping[str, Any]) -> str:
    """Return what the folder of a run keeps of its configuration."""
    return as_yaml({**config, "ckpt_path": None})


def _longer(cli: NoisyCLI, folder: Path, config: dict[str, Any]) -> RunFolder:
    """Claim a run that is to have more epochs; nothing has changed until it goes on.

    Raises:
        InputError: There is no such run, or with more epochs from the start it would have been another one.
    """
    run = claim_shorter(folder, cli.config_init.run.version, config)
    has, wanted = length_of(run.read_config()), length_of(config)
    try:
        last = run.checkpoint("last")
        checkpoint_file.read(last)  # before Lightning has made anything in the folder
        if has < wanted and (reasons := why_length_matters(config, cli.model.method)):
            raise InputError(
                f"run.extend: {run.path} would not be what {wanted} epochs from the start are: {'; '.join(reasons)}. "
                f"Train anew, or go on from its weights as they are: --ckpt_path {last}"
            )
    except InputError:
        run.unlock()
        raise
    return run


def _as_list(value: Any) -> list[Any]:
    """Return what a key names as a list, where it may name one thing, several or nothing."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _check_monitored(config: Any, callbacks: Sequence[Callback]) -> None:
    """Refuse to train by true labels, unless the configuration says so."""
    monitor: str = config.monitor
    if not re.fullmatch(r"val(_\w+)?/\w+", monitor):
        raise InputError(f"monitor: the best epoch is chosen by validation, such as val/acc, got {monitor}")
    scheduler = config.model.lr_scheduler
    monitored: list[tuple[str, str | None]] = [("monitor", monitor)]
    monitored += [(f"trainer.callbacks: {type(one).__name__}", getattr(one, "monitor", None)) for one in callbacks]
    monitored += [("model.lr_scheduler.monitor", scheduler and scheduler.init_args.get("monitor"))]
    for where, name in monitored:
        if name and name.rpartition("/")[2] in OF_TRUE_LABELS and not config.oracle:
            raise InputError(f"{where}: {name} needs true labels: --oracle true allows it and marks the run")
        if name and name.startswith("test"):
            raise InputError(f"{where}: {name} is of the test set, by which nothing can be chosen")
