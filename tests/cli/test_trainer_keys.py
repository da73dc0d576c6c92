"""Keys of Lightning's trainer: what cannot work is refused by its name, and what is legitimate works."""

import inspect
import logging
import re
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import yaml

from noisy_lightning import checkpoint_file
from noisy_lightning.cli.keys import training_parser
from tests.conftest import SMALL

Run = Callable[..., int]
ONE = (*SMALL, "--trainer.max_epochs", "1")


def _line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("max_epochs", "0", "must be at least 1, or -1 for no limit, got 0"),
        ("max_epochs", "-3", "must be at least 1, or -1"),
        ("max_steps", "0", "must be at least 1, or -1"),
        ("num_nodes", "0", "must be at least 1"),
        ("limit_train_batches", "0", "must be a number of batches, at least 1, or a share of them in (0, 1]"),
        ("limit_train_batches", "1.5", "a share of them in (0, 1]"),
        ("limit_train_batches", "0.0001", "Try at least"),
        ("limit_val_batches", "0", "data.validation none validates on nothing"),
        ("overfit_batches", "1.5", "a share of them in (0, 1]"),
        ("check_val_every_n_epoch", "0", "must be at least 1"),
        ("check_val_every_n_epoch", "5", "5 is more than trainer.max_epochs 1: nothing would be validated"),
        ("accumulate_grad_batches", "0", "must be at least 1"),
        ("gradient_clip_val", "-1", "must be at least 0, which clips nothing"),
        ("reload_dataloaders_every_n_epochs", "-1", "must be at least 0"),
        ("use_distributed_sampler", "true", "must be false"),
        ("default_root_dir", "elsewhere", "must be left out: run.root says where runs are kept"),
        ("model_registry", "here", "must be left out"),
        ("accelerator", "gpuu", "must be a kind of device that this machine has: auto, cpu, gpu, …, got gpuu"),
        ("accelerator", "tpu", "must be a kind of device that this machine has"),
        ("strategy", "dpp", "must be auto, ddp, "),
        ("devices", "0", "must be at least 1, -1 for all, or auto, got 0"),
        ("devices", "two", "must be at least 1, -1 for all, or auto, got two"),
        ("max_time", "2h", "must be DD:HH:MM:SS"),
        ("profiler", "smple", "must be simple, advanced, pytorch or a class, got smple"),
        ("val_check_interval", "5000", "must be at most the 6 batches of an epoch"),
        ("val_check_interval", "3.5", "[0.0, 1.0]"),
        ("precision", "15", "must be one of 64, 32, 16, "),
        ("deterministic", "wran", "must be true or false or warn, got wran"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_key(
    key: str, value: str, right: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *ONE, f"--trainer.{key}", value) == 2
    line = _line(capsys)
    assert line.startswith(f"error: trainer.{key}")
    assert right in line
    assert not any((tmp_path / "runs").rglob("*.ckpt"))


@pytest.mark.parametrize(("batches", "steps"), [("1", 1), ("2", 2), ("0.5", 3), ("1.0", 6)])
def test_a_number_and_a_share_of_batches_are_taken(
    batches: str, steps: int, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *ONE, "--trainer.limit_train_batches", batches, "--trainer.enable_checkpointing", "false") == 0
    assert f"1 epochs, {steps} steps" in capsys.readouterr().out


def test_every_limit_takes_1_for_one_batch() -> None:
    limits = [name for name in inspect.signature(L.Trainer).parameters if re.match("(limit|overfit)_", name)]
    assert len(limits) == 5
    words = [word for name in limits for word in (f"--trainer.{name}", "1")]
    trainer = training_parser().parse_args([*ONE, *words]).trainer
    assert [type(trainer[name]) for name in limits] == [int] * 5


@pytest.mark.parametrize("command", ["test", "predict"])
def test_what_evaluates_nothing_is_refused(command: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *ONE) == 0
    capsys.readouterr()
    assert run(command, "runs/default/0", f"--trainer.limit_{command}_batches", "0") == 2
    assert _line(capsys).startswith(f"error: trainer.limit_{command}_batches must be")


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (["LearningRateFinder"], "LearningRateFinder has no learning rate to set here"),
        (["BatchSizeFinder"], "BatchSizeFinder cannot set data.batch_size"),
        (["EarlyStopping"], "EarlyStopping needs monitor"),
        (["LearningRateMonitr"], "no class is called 'LearningRateMonitr'; did you mean LearningRateMonitor?"),
        (["torch.nn.Linear"], "torch.nn.Linear is no Callback"),
        (
            ["ModelPruning", "--trainer.callbacks.pruning_fn", "l1_unstructured", "--trainer.callbacks.amount", "0.5"],
            "ModelPruning needs model.channels_last false",
        ),
    ],
)
def test_a_callback_that_cannot_work_here_is_refused(
    callback: list[str], message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *ONE, "--trainer.callbacks", *callback) == 2
    line = _line(capsys)
    assert line.startswith("error: trainer.callbacks: ")
    assert message in line


@pytest.mark.parametrize(
    ("options", "key"),
    [
        (["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor"], "trainer.callbacks"),
        (["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.monitor"], "trainer.callbacks"),
        (["--model.lr_scheduler", "ReduceLROnPlateau", "--model.lr_scheduler.monitor"], "model.lr_scheduler"),
    ],
)
@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_metric_that_is_not_measured_is_named_with_the_closest_one(
    options: list[str], key: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *ONE, *options, "val/los") == 2
    assert _line(capsys) == f"error: {key}: monitor: val/los is not measured here; did you mean val/loss?"


def test_a_callback_needs_no_list(run: Run, tmp_path: Path) -> None:
    assert run("fit", *ONE, "--trainer.callbacks", "LearningRateMonitor") == 0
    config = yaml.safe_load((tmp_path / "runs/default/0/config.yaml").read_text())
    assert config["trainer"]["callbacks"]["class_path"] == "lightning.pytorch.callbacks.LearningRateMonitor"


def test_the_configuration_that_averaging_of_weights_leaves_can_be_run_again(run: Run, tmp_path: Path) -> None:
    averaging = ("--trainer.callbacks", "StochasticWeightAveraging", "--trainer.callbacks.swa_lrs", "0.05")
    assert run("fit", *ONE, *averaging) == 0
    assert run("fit", "--config", "runs/default/0/config.yaml", "--run.experiment", "again") == 0
    one, other = (tmp_path / f"runs/{name}/0/metrics.csv" for name in ("default", "again"))
    assert one.read_text() == other.read_text()


@pytest.mark.filterwarnings("default")  # an error in its place would have jsonargparse write the text after all
def test_weights_are_pruned_where_images_are_not_channels_last(run: Run, tmp_path: Path) -> None:
    pruning: tuple[str, ...] = (
        "--trainer.callbacks",
        "ModelPruning",
        "--trainer.callbacks.pruning_fn",
        "l1_unstructured",
    )
    pruning += ("--trainer.callbacks.amount", "0.5", "--model.channels_last", "false")
    assert run("fit", *ONE, *pruning) == 0
    folder = tmp_path / "runs/default/0"
    weights = checkpoint_file.read(folder / "checkpoints/last.ckpt")["state_dict"]
    matrices = [weight for weight in weights.values() if weight.ndim == 2]
    assert sum(int((weight == 0).sum()) for weight in matrices) >= sum(weight.numel() for weight in matrices) // 2 - 20
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (callback,) = config["trainer"]["callbacks"]
    assert callback["init_args"]["pruning_fn"] == "l1_unstructured"
    assert run("test", "runs/default/0", "last") == 0
    assert run("fit", "--config", "runs/default/0/config.yaml", "--run.experiment", "again") == 0
    assert (folder / "metrics.csv").read_text() == (tmp_path / "runs/again/0/metrics.csv").read_text()


@pytest.mark.parametrize("key", ["enable_checkpointing", "barebones"])
def test_a_run_for_the_time_that_it_takes_keeps_nothing(
    key: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = "false" if key == "enable_checkpointing" else "true"
    assert run("fit", *ONE, f"--trainer.{key}", value) == 0
    captured = capsys.readouterr()
    assert f"nothing is kept, by trainer.{key}" in captured.out
    assert "1 epochs, 6 steps" in captured.out
    assert captured.err == ""
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [("profiler", "simple", "FIT Profiler Report"), ("enable_model_summary", "true", "Trainable params")],
)
def test_what_is_asked_for_is_shown(
    key: str, value: str, text: str, run: Run, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("lightning.pytorch")  # which hands nothing on
    logger.addHandler(caplog.handler)
    try:
        assert run("fit", *ONE, f"--trainer.{key}", value) == 0
    finally:
        logger.removeHandler(caplog.handler)
    assert text in caplog.text + capsys.readouterr().out  # with rich, Lightning prints it


@pytest.mark.parametrize("seed", ["-1", "4294967296"])
@pytest.mark.parametrize("command", [["fit"], ["clean", "--selector", "NoisyCrossValidation"]])
def test_a_seed_that_no_generator_takes_is_refused(
    command: list[str], seed: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, *ONE, "--seed_everything", seed) == 2
    assert _line(capsys) == f"error: seed_everything must be in [0, 4294967295], got {seed}"
