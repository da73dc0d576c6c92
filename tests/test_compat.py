"""Each hook into other packages is still there: a test that fails says by its name which one a release has moved.

What is tested is the other package, as far as possible without ours. Where a hook only saves time, the test also shows
that there is time to save: where it fails, the hook can go.
"""

import ast
import inspect
import logging
import multiprocessing
import os
import pickle
import re
import runpy
import sys
import threading
import types
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from importlib import import_module
from multiprocessing import spawn
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, NoReturn
from unittest.mock import Mock

import lightning as L
import numpy as np
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.strategies.launchers import subprocess_script
from lightning.pytorch.callbacks import Checkpoint, model_summary
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.demos.boring_classes import BoringModel
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import PassThroughProfiler, profiler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.trainer.connectors.logger_connector import result
from sklearn.datasets import load_digits
from submitit import SlurmJob
from submitit.helpers import DelayedSubmission
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
from torch import Tensor, distributed, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, Dataset, TensorDataset
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import scalar

import noisy_lightning
from noisy_lightning import compat
from noisy_lightning.cli.messages import explain
from noisy_lightning.errors import InputError

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec:FutureWarning",  # of torch, in Lightning's loaders
    "ignore:.*does not have many workers",  # of Lightning, for its own loaders
)

PACKAGE = Path(noisy_lightning.__file__).parent
STEPS = 3  # of an epoch


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have jsonargparse say nothing of what it will do otherwise some day."""
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "off")


# What Lightning works on


class Module(L.LightningModule):
    """Trains one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.weight * batch).sum()

    def configure_optimizers(self) -> SGD:
        return SGD(self.parameters(), lr=0.1)


class Loader:
    """Serves numbers, and keeps in `events` what Lightning asks of it."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __iter__(self) -> Iterator[Tensor]:
        self.events.append("iter")
        yield from torch.ones(STEPS, 1)

    def __len__(self) -> int:
        return STEPS

    def set_epoch(self, epoch: int) -> None:
        self.events.append(epoch)

    def state_dict(self) -> dict[str, Any]:
        return {"a loader": "has a state"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.events.append(state)


class Data(L.LightningDataModule):
    """Serves them to all."""

    def __init__(self, loader: Loader) -> None:
        super().__init__()
        self.loader = loader

    def train_dataloader(self) -> Loader:
        return self.loader

    def test_dataloader(self) -> Loader:
        return self.loader

    def state_dict(self) -> dict[str, Any]:
        return {"labels": 7}


def _trainer(folder: Path, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    checkpoints = any(isinstance(callback, Checkpoint) for callback in callbacks)
    quiet |= {"enable_checkpointing": checkpoints, "callbacks": list(callbacks), "max_epochs": 1, "devices": 1}
    return L.Trainer(default_root_dir=folder, **{**quiet, **options})


# Lightning: what it does in every step


def test_lightning_still_writes_the_running_hook_into_the_module_in_every_step(tmp_path: Path) -> None:
    written: list[str] = []

    class Listener(Module):
        def __setattr__(self, name: str, value: Any) -> None:
            written.append(name)
            super().__setattr__(name, value)

    _trainer(tmp_path).fit(Listener(), Loader())
    assert written.count(compat.RUNNING_HOOK) > 10 * STEPS


def test_lightning_still_inspects_the_step_in_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected: list[str] = []
    look = inspect.getfullargspec

    def listen(function: Callable[..., Any]) -> Any:
        inspected.append(function.__name__)
        return look(function)

    monkeypatch.setattr(inspect, "getfullargspec", listen)
    _trainer(tmp_path).fit(Module(), Loader())
    assert inspected.count("training_step") >= STEPS


def test_python_still_takes_a_signature_that_lies_ready() -> None:
    @compat.with_ready_signature
    def step(self: object, batch: Tensor, batch_idx: int) -> None: ...

    assert inspect.getfullargspec(step).args == ["self", "batch", "batch_idx"]
    step.__signature__ = step.__signature__.replace(parameters=[])  # type: ignore[attr-defined]
    assert inspect.getfullargspec(step).args == []


def test_lightning_still_skips_hooks_that_cannot_be_called(tmp_path: Path) -> None:
    called: list[str] = []

    class Counted(L.Callback):
        def on_train_batch_end(self, *args: Any) -> None:
            called.append("on_train_batch_end")

        def on_train_batch_start(self, *args: Any) -> None:
            called.append("on_train_batch_start")

    callback = Counted()
    compat.skip_hook(callback, "on_train_batch_end")
    _trainer(tmp_path, callback).fit(Module(), Loader())
    assert called == ["on_train_batch_start"] * STEPS


def test_lightning_still_asks_its_profiler_for_many_contexts_in_every_step(tmp_path: Path) -> None:
    """Where it does no longer, `NoProfiler` can go."""
    asked: list[str] = []

    class Asked(PassThroughProfiler):
        def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
            asked.append(action_name)
            return nullcontext()

    _trainer(tmp_path, profiler=Asked()).fit(Module(), Loader())
    assert len(asked) > 10 * STEPS


# Lightning: loaders and seeds


def test_lightning_still_announces_epochs_to_the_sampler_of_a_loader(tmp_path: Path) -> None:
    unknown, loader = Loader(), Loader()
    compat.announce_epochs(loader)
    for one in (unknown, loader):
        _trainer(tmp_path, max_epochs=2).fit(Module(), one)
    assert [event for event in unknown.events if event != "iter"] == []
    assert [event for event in loader.events if event != "iter"] == [0, 1]


class Pooled(Loader):
    """Serves numbers from one worker."""

    _iterator = compat.iterator_of("_pool")

    def __init__(self) -> None:
        super().__init__()
        numbers = TensorDataset(torch.ones(STEPS, 1))
        self._pool = DataLoader(numbers, batch_size=None, num_workers=1, persistent_workers=True)

    def __iter__(self) -> Iterator[Tensor]:
        for (number,) in self._pool:
            self.events += [process.pid for process in multiprocessing.active_children()]
            yield number


def test_lightning_still_ends_the_workers_of_a_loader_and_not_before_the_last_epoch(tmp_path: Path) -> None:
    loader = Pooled()
    _trainer(tmp_path, max_epochs=2).fit(Module(), loader)
    assert len(loader.events) == 2 * STEPS
    assert len(set(loader.events)) == 1
    assert not multiprocessing.active_children()


def test_lightning_still_restores_loaders_and_callbacks_before_the_first_batch(tmp_path: Path) -> None:
    """A generator of random numbers that is restored later would not have drawn the order of the first epoch."""
    loader = Loader()

    class Restored(L.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"a callback": "has a state"}

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            loader.events.append(state_dict)

        def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    _trainer(tmp_path, Restored()).fit(Module(), loader)
    loader.events.clear()
    _trainer(tmp_path, Restored()).fit(Module(), loader, ckpt_path=tmp_path / "1.ckpt")
    restored = [loader.events.index({f"a {one}": "has a state"}) for one in ("callback", "loader")]
    assert max(restored) < loader.events.index("iter")


@pytest.mark.parametrize(
    ("count", "restored"), [(lambda trainer: trainer.estimated_stepping_batches, 0), (compat.steps_of, 1)]
)
def test_lightning_still_gives_no_state_to_a_loader_that_it_has_made_to_count_steps(
    count: Callable[[L.Trainer], float], restored: int, tmp_path: Path
) -> None:
    """Where it does, this hook can go."""

    class Counted(Module):
        def configure_optimizers(self) -> SGD:
            assert count(self.trainer) == 2 * STEPS
            return super().configure_optimizers()

    class Saved(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    loader = Loader()
    _trainer(tmp_path, Saved(), max_epochs=2).fit(Counted(), loader)
    loader.events.clear()
    _trainer(tmp_path, max_epochs=2).fit(Counted(), loader, ckpt_path=tmp_path / "1.ckpt")
    assert loader.events.count({"a loader": "has a state"}) == restored


def test_lightning_still_leaves_the_seed_in_the_environment() -> None:
    assert compat.training_seed() == 0
    L.seed_everything(7, verbose=False)
    assert compat.training_seed() == 7


# Lightning: what is logged, and what a checkpoint holds


@pytest.mark.parametrize(
    ("switches", "reduced", "warned"),
    [({}, 0, 1), ({"sync_dist": True}, 1, 0), (compat.EQUAL_ON_ALL_RANKS, 0, 0)],
    ids=["no switch", "one", "both"],
)
def test_lightning_still_neither_synchronizes_nor_warns_with_both_switches(
    switches: dict[str, Any], reduced: int, warned: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reductions: list[Any] = []

    def reduce(value: Tensor, *args: Any, **options: Any) -> Tensor:
        reductions.append(value)
        return value

    class Logging(Module):
        def on_train_epoch_end(self) -> None:
            monkeypatch.setattr(self.trainer.strategy, "reduce", reduce)
            monkeypatch.setattr(type(self.trainer._accelerator_connector), "is_distributed", True)
            monkeypatch.setattr(result, "_distributed_is_initialized", lambda: True)
            name = f"a{len(switches)}{warned}"  # since Lightning warns of each name once
            self.log(name, 1.0, **switches)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                assert self.trainer.callback_metrics[name] == 1
            monkeypatch.undo()
            assert sum("sync_dist=True" in str(one.message) for one in said) == warned

    _trainer(tmp_path).fit(Logging(), Loader())
    assert bool(reductions) == bool(reduced)


def test_lightning_still_keeps_what_was_logged_in_one_dictionary_that_nothing_else_fills(tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Logging(Module):
        def on_train_epoch_start(self) -> None:
            if self.current_epoch == 2:
                compat.logged_values(self.trainer).clear()
            seen.append({name: value.item() for name, value in self.trainer.callback_metrics.items()})

        def on_train_epoch_end(self) -> None:
            if self.current_epoch != 1:
                self.log("once", float(self.current_epoch))

    trainer = _trainer(tmp_path, max_epochs=3)
    trainer.fit(Logging(), Loader())
    assert seen == [{}, {"once": 0.0}, {}]  # kept, and gone once the dictionary is empty
    assert trainer.callback_metrics is compat.logged_values(trainer)


def test_lightning_still_lets_the_hook_log_what_an_evaluation_measures(tmp_path: Path) -> None:
    class Measured(Module):
        epoch: int | None = None

        def test_step(self, batch: Tensor, batch_idx: int) -> None: ...

        def on_test_epoch_end(self) -> None:
            self.log("acc", 0.5)
            if self.epoch is not None:
                compat.log_evaluation_by(self.trainer, lambda metrics: logger.log_metrics(dict(metrics), self.epoch))

    module, logger = Measured(), CSVLogger(tmp_path, name="", version="")
    trainer = _trainer(tmp_path, logger=logger)
    for epoch in (7, None):
        module.epoch = epoch
        assert trainer.test(module, Loader(), verbose=False) == [{"acc": 0.5}]
        assert trainer.logged_metrics["acc"] == 0.5
        logger.save()
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert rows == ["acc,epoch,step", "0.5,,7", "0.5,0,0"]


def test_lightning_still_takes_a_metric_called_step_into_the_names_of_checkpoints(tmp_path: Path) -> None:
    """Where it does no longer, epochs can be logged as a metric of that name, without a hook."""
    checkpoint = L.pytorch.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_epochs=1)

    class Logging(Module):
        def on_train_epoch_end(self) -> None:
            self.log("step", 70.0)

    _trainer(tmp_path, checkpoint).fit(Logging(), Loader())
    assert (tmp_path / "step=70.ckpt").exists()


def test_lightning_still_keeps_the_state_of_a_data_module_under_the_name_of_its_class(tmp_path: Path) -> None:
    class Other(Data): ...

    data = Data(Loader())
    trainer = _trainer(tmp_path)
    trainer.fit(Module(), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert compat.keeps_state_of(checkpoint, data)
    assert checkpoint[Data.__qualname__] == {"labels": 7}
    assert not compat.keeps_state_of(checkpoint, Other(Loader()))


def test_lightning_still_runs_checkpoints_after_all_other_callbacks(tmp_path: Path) -> None:
    class First(Checkpoint): ...

    class Second(L.Callback): ...

    trainer = _trainer(tmp_path, First(), Second())
    own = [type(callback) for callback in trainer.callbacks if type(callback) in (First, Second)]  # type: ignore[attr-defined]
    assert own == [Second, First]


def test_lightning_still_ends_a_fit_that_is_interrupted_by_leaving(tmp_path: Path) -> None:
    class Interrupted(Module):
        def training_step(self, batch: Tensor, batch_idx: int) -> NoReturn:
            raise KeyboardInterrupt

    with pytest.raises(compat.INTERRUPTION):
        _trainer(tmp_path).fit(Interrupted(), Loader())


# Lightning and torch: several processes


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """Make this process a group of one."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_torch_still_leaves_out_of_ddp_what_the_module_names() -> None:
    module = Module()
    module.register_buffer("memory", torch.zeros(3))
    module.register_buffer("other", torch.zeros(3))
    compat.leave_out_of_ddp(module, ["memory"])
    wrapped = DDPStrategy(parallel_devices=[torch.device("cpu")])._setup_model(module)
    assert wrapped.module is module
    assert "memory" in wrapped.parameters_to_ignore
    assert "other" not in wrapped.parameters_to_ignore


def test_lightning_still_keeps_the_arguments_of_ddp_in_the_strategy() -> None:
    assert compat.waits_for_all_gradients(DDPStrategy())
    assert not compat.waits_for_all_gradients(DDPStrategy(find_unused_parameters=True))
    assert not compat.waits_for_all_gradients(SingleDeviceStrategy())


@pytest.mark.filterwarnings("ignore:The `srun` command")  # where Slurm is installed
@pytest.mark.parametrize(
    ("rank", "size", "environment"),
    [("RANK", "WORLD_SIZE", TorchElasticEnvironment), ("SLURM_PROCID", "SLURM_NTASKS", SLURMEnvironment)],
)
def test_lightning_still_takes_ranks_from_these_variables(
    rank: str, size: str, environment: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert compat.started_by_others() == (0, 1)
    for name, value in {rank: "2", size: "4", "SLURM_NTASKS_PER_NODE": "4"}.items():
        monkeypatch.setenv(name, value)
    theirs = environment()
    assert compat.started_by_others() == (theirs.global_rank(), theirs.world_size()) == (2, 4)


def test_lightning_still_knows_a_job_of_slurm_by_its_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "7"}.items():
        monkeypatch.setenv(name, value)
    assert SLURMEnvironment.detect()
    compat.leave_slurm()
    assert not SLURMEnvironment.detect()


def test_lightning_still_starts_further_ranks_as_this_process_was_started() -> None:
    before = sys.argv
    with compat.ranks_started_by("noisy_lightning.__main__", ["noisy-lightning", "fit", "--config", "a.yaml"]):
        command = subprocess_script._basic_subprocess_cmd()
    assert command == [sys.executable, "-m", "noisy_lightning.__main__", "fit", "--config", "a.yaml"]
    assert sys.argv is before


def test_a_command_runs_in_a_notebook_that_was_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(sys.modules["__main__"], "__spec__")
    with compat.ranks_started_by("noisy_lightning.__main__", ["noisy-lightning", "fit"]):
        assert subprocess_script._basic_subprocess_cmd()[1:3] == ["-m", "noisy_lightning.__main__"]


# Lightning's command line and jsonargparse


class Sized(Module):
    """Has an argument that a checkpoint keeps."""

    def __init__(self, size: int = 1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.size = size


def test_jsonargparse_still_has_all_options_of_a_parser_in_one_list() -> None:
    parser = ArgumentParser()
    parser.add_argument("--data.seed", type=int)
    parser.add_class_arguments(Base, "base")
    assert {"--data.seed", "--base.size"} <= set(compat.option_strings(parser))


def test_jsonargparse_still_reads_configuration_files_by_its_action(tmp_path: Path) -> None:
    parser = ArgumentParser()
    parser.add_argument("--config", action=compat.config_file_action())
    parser.add_argument("--seed", type=int)
    (tmp_path / "a.yaml").write_text("seed: 3\n")
    assert parser.parse_args(["--config", str(tmp_path / "a.yaml")]).seed == 3


def test_jsonargparse_still_writes_what_could_be_a_function_by_one_function() -> None:
    parser = ArgumentParser()
    parser.add_argument("--how", type=Callable | str)
    config = parser.parse_args(["--how", "l1_unstructured"])
    with pytest.warns(UserWarning, match="Unable to serialize instance l1_unstructured"):
        assert parser.dump(config) == "how: Unable to serialize instance l1_unstructured\n"
    with compat.texts_kept_as_texts():
        assert parser.dump(config) == "how: l1_unstructured\n"


class OnAnotherParser(LightningCLI):
    """Has a parser that Lightning knows nothing of."""

    def setup_parser(self, *_: Any) -> None:
        """Take one that knows the trainer and the seed."""
        parser = ArgumentParser()
        parser.add_argument("--seed_everything", default=0)
        parser.add_class_arguments(L.Trainer, "trainer", instantiate=False, sub_configs=True)
        self.parser = compat.for_lightning(parser)

    def instantiate_classes(self) -> None:
        """Make the trainer alone."""
        self.config_init = self.parser.instantiate_classes(self.config)
        self.trainer = self.instantiate_trainer()


def test_lightning_s_command_line_still_builds_a_trainer_from_another_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["script"])  # else Lightning warns
    arguments = ["--trainer.max_epochs=3", "--trainer.logger=false", "--trainer.accelerator=cpu"]
    assert OnAnotherParser(BoringModel, run=False, save_config_callback=None, args=arguments).trainer.max_epochs == 3


class Base:
    """Has one argument."""

    def __init__(self, size: int = 1) -> None:
        self.size = size


class Made(Base):
    """Is called with something else besides."""

    def __init__(self, given: str, size: int = 1) -> None:
        super().__init__(size)


class Abstract(ABC):
    """Cannot be made."""

    @abstractmethod
    def do(self) -> None: ...


class Concrete(Abstract):
    """Can be made."""

    def __init__(self, size: int = 1) -> None: ...

    def do(self) -> None: ...


def test_jsonargparse_still_makes_a_partial_of_a_class_with_arguments() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--make", type=Callable[[str], Base])
    spec = {"class_path": f"{__name__}.Made", "init_args": {"size": 3}}
    made = parser.instantiate_classes(parser.parse_object({"make": spec})).make
    assert isinstance(made, partial)
    assert compat.class_of(made) is Made
    assert made.keywords == {"size": 3}


def test_jsonargparse_still_has_inner_parsers_raise_their_errors() -> None:
    """An outer parser then says where it was."""
    met: list[bool] = []

    class Parser(ArgumentParser):
        def error(self, message: str, ex: Exception | None = None) -> NoReturn:
            met.append(self.exit_on_error)
            raise ArgumentError(None, message)

    parser = Parser()
    parser.add_argument("--base", type=Base)
    with pytest.raises(ArgumentError):
        parser.parse_args([f"--base={__name__}.Base", "--base.sise=3"])
    assert met[-1]
    assert met.count(False) >= 1


def _refused(kind: Any, args: Sequence[str]) -> str:
    """Return what jsonargparse says of a command line."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--key", type=kind)
    with pytest.raises(ArgumentError) as error:
        parser.parse_args(args)
    return str(error.value)


UNION = "Does not validate against any of the Union subtypes"
ABSTRACT = f"Expected an instantiatable class, but {__name__}.Abstract is abstract"
CALLABLE = "expects a function or a callable class: "


@pytest.mark.parametrize(
    ("kind", "args", "text", "explained"),
    [
        (int, ["--kye=1"], "unrecognized arguments: --kye", "unknown option --kye"),
        (int, ["--key=word"], 'Parser key "key":', "key must be a whole number, got word"),
        (int | None, ["--key=word"], UNION, "key must be a whole number, got word"),
        (Base | None, ["--key=Bse"], "Expected a dot import path string: Bse", "key: no class is called 'Bse'"),
        (
            Base,
            [f"--key={__name__}.Base", "--key.sise=1"],
            "Option 'sise' is not accepted",
            "key: Base takes no 'sise'",
        ),
        (Made | None, [f"--key={__name__}.Made"], "arguments are required: given", "key: Made needs given"),
        (Abstract, ["--key.size=1"], ABSTRACT, "key: name the class, a Abstract, before its arguments"),
        (
            Callable[[str], Base],
            [f"--key={__name__}.Made", "--key.size=word"],
            f'{CALLABLE}Parser key "size":',
            "key.size must be a whole number, got word",
        ),
        (Callable[[str], Base], ["--key=no.where"], CALLABLE, "key: no.where: No module named 'no'"),
    ],
    ids=["unknown", "key", "union", "class", "argument", "required", "abstract", "inner", "callable"],
)
def test_jsonargparse_still_words_its_errors_so(kind: Any, args: list[str], text: str, explained: str) -> None:
    message = _refused(kind, args)
    assert text in message
    assert explained in explain(message)


def test_a_message_that_no_pattern_knows_is_shown_as_it_is() -> None:
    assert explain("Something that jsonargparse has never said") == "Something that jsonargparse has never said"
    new = 'Parser key "model.loss":\n  A new way to say that Bse is no class:\n  - it is not there'
    assert explain(new) == "model.loss: A new way to say that Bse is no class:; it is not there"


@pytest.fixture
def silenced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Call the hook, and take back what it has done."""
    monkeypatch.delenv("JSONARGPARSE_DEPRECATION_WARNINGS", raising=False)
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compat.silence()
        monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", os.environ["JSONARGPARSE_DEPRECATION_WARNINGS"])
        yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("silenced")
def test_lightning_still_warns_by_these_texts_of_callbacks_and_srun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stateful(L.Callback):
        def state_dict(self) -> dict[str, Any]:
            return {"a": 1}

    monkeypatch.setattr("shutil.which", lambda name: name)
    SLURMEnvironment._validate_srun_used()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers")
        trainer = _trainer(tmp_path, Stateful())
        trainer.fit(Module(), Loader())
        trainer.save_checkpoint(tmp_path / "last.ckpt")
        _trainer(tmp_path, max_epochs=2).fit(Module(), Loader(), ckpt_path=tmp_path / "last.ckpt")


@pytest.mark.parametrize("text", ["callbacks used", "`srun` command", "to `self.log()` but `Trainer(barebones"])
def test_lightning_still_has_these_warnings_to_silence(text: str) -> None:
    modules = (
        *("lightning.pytorch.trainer.call", "lightning.fabric.plugins.environments.slurm"),
        "lightning.pytorch.core.module",
    )
    sources = [inspect.getsource(import_module(name)) for name in modules]
    assert any(text in source for source in sources)


@pytest.mark.usefixtures("silenced")
def test_lightning_still_speaks_by_these_loggers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers")
        _trainer(tmp_path).fit(Module(), Loader())
    assert not caplog.records
    assert capsys.readouterr().err == ""


def test_lightning_still_shows_what_is_asked_for_by_these_loggers() -> None:
    assert {model_summary.log.name, profiler.log.name} == set(compat._ASKED_FOR)


def test_jsonargparse_still_keeps_quiet_by_this_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    from jsonargparse import _deprecated  # noqa: PLC0415

    for value, warned in {"all": 1, "off": 0}.items():
        monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", value)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            _deprecated.deprecation_warning("a test", "is old")
        assert len(said) == warned


# TensorBoard


def test_torch_still_flushes_and_closes_the_writers_of_runs_within_a_run(tmp_path: Path) -> None:
    board = SummaryWriter(tmp_path)
    for step in range(3):
        compat.run_within(board, "part").add_summary(scalar("value", step), step)
        board.flush()
        events = EventAccumulator(str(tmp_path / "part")).Reload()
        assert [event.step for event in events.Scalars("value")] == [*range(step + 1)]
        assert len(list((tmp_path / "part").iterdir())) == 1
    before = threading.active_count()
    board.close()
    assert threading.active_count() == before - 2
    compat.run_within(board, "part").add_summary(scalar("value", 3), 3)
    board.close()
    assert threading.active_count() == before - 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_tensorboard_still_raises_in_the_run_what_its_thread_ends_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: object, data: bytes) -> NoReturn:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: said.append(args.thread.name))
    monkeypatch.setattr(RecordWriter, "write", full)
    with compat.one_report_of_boards():
        with pytest.raises(OSError, match="No space left"):
            SummaryWriter(tmp_path / "within").flush()
        assert not said
        thread = threading.Thread(target=full, args=(None, b""), name="another")
        thread.start()
        thread.join()
    with pytest.raises(OSError, match="No space left"):
        SummaryWriter(tmp_path / "without").flush()
    assert len(said) == 2
    assert said[0] == "another"


# torch


@pytest.mark.parametrize(("kind", "module"), [(SGD, "sgd"), (Adam, "adam"), (AdamW, "adam")])
def test_torch_still_reads_in_every_step_whether_an_optimizer_is_fused(
    kind: type[Any], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fused: list[str] = []

    def step(*args: Any, **options: Any) -> None:
        fused.append(module)

    monkeypatch.setattr(import_module(f"torch.optim.{module}"), f"_fused_{module}", step)
    weight = torch.ones(1, requires_grad=True)
    weight.grad = torch.ones(1)
    optimizer = kind([weight], lr=0.1)
    optimizer.step()
    assert not fused
    compat.fuse(optimizer)
    optimizer.step()
    assert fused
    # By this attribute, Lightning would refuse to clip gradients.
    assert kind([weight], lr=0.1, fused=True)._step_supports_amp_scaling
    assert not hasattr(optimizer, "_step_supports_amp_scaling")


def test_torch_still_reads_the_span_of_a_cosine_schedule_in_every_step() -> None:
    optimizer = SGD([torch.ones(1, requires_grad=True)], lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, 0)
    compat.span(scheduler, 4)
    rates = []
    for _ in range(4):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.85355, 0.5, 0.14645, 0.0], abs=1e-5)


def test_torch_still_keeps_the_lengths_of_these_schedules_in_this_part_of_their_state() -> None:
    def states(make: Callable[[SGD, int], LRScheduler]) -> tuple[LRScheduler, ...]:
        weight = torch.ones(1, requires_grad=True)
        return tuple(make(SGD([weight], lr=0.1, momentum=0.9), length) for length in (4, 8))

    for make in (CosineAnnealingLR, lambda optimizer, length: OneCycleLR(optimizer, 0.1, length)):
        short, long = states(make)
        other = {name for name, value in short.state_dict().items() if value != long.state_dict()[name]}
        assert other == compat.span_of(long).keys()
        short.load_state_dict(compat.span_of(long))
        for _ in range(8):
            for one in (short, long):
                one.optimizer.step()
                one.step()
            assert short.get_last_lr() == long.get_last_lr()


class Broken(Dataset[int]):
    """Has a sample that cannot be read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise InputError("a.png cannot be read")


@pytest.mark.parametrize("workers", [0, 1])
def test_torch_still_puts_the_traceback_of_a_worker_before_its_message(workers: int) -> None:
    with pytest.raises(InputError) as caught:
        list(DataLoader(Broken(), num_workers=workers))
    assert ("Traceback" in str(caught.value)) == bool(workers)
    assert compat.error_of_worker(caught.value) == "a.png cannot be read"


def test_torch_still_empties_the_cache_of_weights_in_half_precision() -> None:
    """The methods use this: without it, a pass without gradients would leave weights that learn nothing."""
    layer = nn.Linear(2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            layer(torch.ones(1, 2))
        torch.clear_autocast_cache()
        layer(torch.ones(1, 2)).sum().backward()
    assert layer.weight.grad is not None


# submitit


def test_submitit_still_keeps_jobs_and_results_in_these_files(tmp_path: Path) -> None:
    job: Any = SlurmJob(tmp_path, "7_1")
    assert list(compat.submitted_jobs(tmp_path)) == []
    DelayedSubmission(os.getcwd).dump(job.paths.submitted_pickle)
    assert list(compat.submitted_jobs(tmp_path)) == ["7_1"]
    assert compat.function_of(job) is os.getcwd
    assert not compat.has_result(job)
    (tmp_path / "7_1_0_result.pkl").touch()
    assert compat.has_result(job)


# numpy


@pytest.mark.parametrize("protocol", range(2, 5))
def test_numpy_still_rebuilds_arrays_by_this_function(protocol: int) -> None:
    array = np.arange(3)
    assert array.__reduce__()[0] is compat.numpy_reconstruct()
    assert b"_reconstruct" in pickle.dumps(array, protocol)


def test_without_that_function_only_pickles_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compat, "numpy_reconstruct", Mock(side_effect=AttributeError("it is gone")))
    readers = runpy.run_path(str(PACKAGE / "data/noise/label_formats.py"))["READERS"]
    (tmp_path / "labels.csv").write_text("label\n1\n")
    assert readers[".csv"](tmp_path / "labels.csv") == {"label": ["1"]}
    torch.save({"label": np.array([1])}, tmp_path / "labels.pt")
    with pytest.raises(InputError, match="it is gone"):
        readers[".pt"](tmp_path / "labels.pt")


# scikit-learn


def test_scikit_learn_still_keeps_its_digits_in_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_digits()
    fallback = Mock(side_effect=load_digits)
    monkeypatch.setattr("sklearn.datasets.load_digits", fallback)
    table = compat.digits()
    fallback.assert_not_called()
    assert np.array_equal(table, np.column_stack([expected.data, expected.target]))


def test_digits_are_read_without_the_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    table = compat.digits()
    monkeypatch.setattr(compat, "find_spec", lambda name: None)
    assert np.array_equal(compat.digits(), table)


# multiprocessing


@pytest.mark.parametrize("start", ["-m", "script", "notebook"])
def test_multiprocessing_still_looks_up_the_script_in_sys_modules(start: str, monkeypatch: pytest.MonkeyPatch) -> None:
    main = types.ModuleType("__main__")
    if start == "-m":
        main.__spec__ = types.SimpleNamespace(name="script")  # type: ignore[assignment]
    if start == "script":
        main.__file__ = "script.py"
    monkeypatch.setitem(sys.modules, "__main__", main)
    found = spawn.get_preparation_data("a process").keys()
    assert any(name.startswith("init_main_from") for name in found) == (start != "notebook")
    with compat.hidden_main():
        found = spawn.get_preparation_data("a process").keys()
    assert not any(name.startswith("init_main_from") for name in found)
    assert sys.modules["__main__"] is main


# The hooks themselves


def test_each_hook_has_a_test() -> None:
    tree = ast.parse((PACKAGE / "compat.py").read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    constants = {name for name in vars(compat) if re.fullmatch(r"[A-Z_]+", name)} - {"TYPE_CHECKING"}
    tested = Path(__file__).read_text()
    hooks = [name for name in sorted(functions | constants) if not name.startswith("_")]
    assert [name for name in hooks if f"compat.{name}" not in tested] == []


_PRIVATE = re.compile(r"_[a-z]\w*")
_DESCRIBED = {"_replace", "_asdict", "_exit"}  # in spite of their names
_OF_PYTHON = {*_DESCRIBED, "_abc_impl", "_is_protocol", "_field_defaults", "_fields", "_make"}


def test_no_other_module_takes_what_is_private_in_an_object_or_package_of_others() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        taken = [node for node in nodes if isinstance(node, ast.Attribute) and _PRIVATE.fullmatch(node.attr)]
        own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)} | _DESCRIBED
        own |= {node.attr for node in taken if _is_of_self(node)}
        imported = [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
        imported += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        found += [(path.name, node.attr) for node in taken if node.attr not in own]
        found += [(path.name, name) for name in imported if any(map(_PRIVATE.fullmatch, name.split(".")))]
    assert {name for name, _ in found} == {"compat.py"}, found


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def test_no_class_overrides_or_uses_what_is_private_in_a_class_of_others() -> None:
    modules = [import_module(one.name) for one in walk_packages([str(PACKAGE)], "noisy_lightning.")]
    own: set[Any] = {
        one
        for module in modules
        for one in vars(module).values()
        if inspect.isclass(one) and one.__module__ == module.__name__
    }
    shared = {(one, name) for one in own for other in _others(one) for name in _private(one) & _private(other)}
    assert not shared


def _others(one: type) -> list[Any]:
    return [parent for parent in one.__mro__ if parent.__module__.split(".")[0] not in ("noisy_lightning", "builtins")]


@cache
def _private(one: Any) -> set[str]:
    """Return the private names that a class defines or that its own methods use."""
    try:
        source = inspect.getsource(one)
    except (OSError, TypeError):  # written in C, or made at run time
        source = ""
    return {*re.findall(r"(?:self\.|def )(_[a-z]\w*)", source), *filter(_PRIVATE.fullmatch, vars(one))} - _OF_PYTHON
