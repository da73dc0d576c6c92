"""Two gloo processes train as one does."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributed import get_rank

from noisy_lightning.runs.records import load
from tests.processes import forked, noisy_lightning
from tests.training.test_resume import RECIPES

# No batch normalization, whose statistics are a process's own; a batch that does not divide the data, of which an
# even number of samples is left over: of an odd one the two processes' means would weigh differently.
COMMAND = (
    *("--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "150"),
    *("--data.val_fraction", "0.105"),
    *("--data.crop_padding", "1", "--model.backbone", "tests.networks.Plain"),
    *("--model.optimizer", "SGD", "--model.optimizer.lr", "0.1", "--trainer.max_epochs", "2"),
    *("--trainer.accelerator", "cpu", "--run.version", "run"),
)
TWO = ("--trainer.devices", "2", "--trainer.strategy", "ddp")


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    for folder, start, options in (("one", forked, ("--trainer.devices", "1")), ("two", noisy_lightning, TWO)):
        (tmp_path / folder).mkdir()
        done = start("fit", *COMMAND, *options, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
    one, two = (tmp_path / folder / "runs/default/run" for folder in ("one", "two"))
    assert not (two.parent / "0").exists()
    first, second = (torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (one, two))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-5, atol=1e-6)
    assert (one / "noise.csv").read_text() == (two / "noise.csv").read_text()
    alone, together = load(one), load(two)
    assert not np.isnan(together.loss[:, together.split == "train"]).any()
    np.testing.assert_allclose(alone.loss, together.loss, rtol=1e-5, atol=1e-5)
    assert (alone.prediction == together.prediction).mean() > 0.999
    rows = [(run / "metrics.csv").read_text().splitlines() for run in (one, two)]
    for row, other in zip(*rows, strict=True):
        if not row.startswith("epoch"):
            assert [float(x) for x in other.split(",")] == pytest.approx([float(x) for x in row.split(",")], abs=1e-5)
    tested = noisy_lightning("test", str(two), "last", *TWO, cwd=tmp_path)
    assert tested.returncode == 0, tested.stderr
    assert "test accuracy" in tested.stdout
    with (two / "test/last/images.csv").open(newline="") as file:
        images = list(csv.DictReader(file))
    assert sorted(int(row["index"]) for row in images) == list(range(360)), "each image once, whoever measured it"
    measured = json.loads((two / "result.json").read_text())["test"]["last"]
    assert sum(row["true"] == row["predicted"] for row in images) / 360 == pytest.approx(measured["test/acc"])


@pytest.mark.slow
def test_two_processes_freeze_and_thaw_as_one_does(tmp_path: Path) -> None:
    frozen = ("--model.freeze_body_epochs", "1", "--model.body_lr_factor", "0.5", "--model.l1_decay", "0.001")
    unused = ("--trainer.strategy", "ddp_find_unused_parameters_true")
    refused = noisy_lightning("fit", *COMMAND, *frozen, *TWO, cwd=tmp_path)
    assert refused.returncode == 2
    assert "model.freeze_body_epochs needs --trainer.strategy ddp_find_unused_parameters_true" in refused.stderr
    weights = []
    for folder, options in {"one": ("--trainer.devices", "1"), "two": (*TWO, *unused)}.items():
        (tmp_path / folder).mkdir()
        done = noisy_lightning("fit", *COMMAND, *frozen, *options, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
        run = tmp_path / folder / "runs/default/run"
        weights.append(torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"])
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_processes_average_weights_and_change_rates_as_one_does(tmp_path: Path) -> None:
    options = ("--model.ema_decay", "0.9", "--model.layer_decay", "0.5", "--model.lr_scheduler", "WarmupCosine")
    for folder, devices in {"one": ("--trainer.devices", "1"), "two": TWO}.items():
        (tmp_path / folder).mkdir()
        done = noisy_lightning("fit", *COMMAND, *options, *devices, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
    runs = [tmp_path / folder / "runs/default/run" for folder in ("one", "two")]
    for name in ("best", "last"):
        one, two = (torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)["state_dict"] for run in runs)
        assert any(key.startswith("averages.") for key in one)
        for key, value in one.items():
            torch.testing.assert_close(value, two[key], rtol=1e-5, atol=1e-6)
    values = [list(csv.DictReader((run / "metrics.csv").read_text().splitlines())) for run in runs]
    for alone, together in zip(*values, strict=True):
        assert {"val/acc", "val_raw/acc"} < alone.keys()
        for key, value in alone.items():
            assert float(together[key]) == pytest.approx(float(value), abs=1e-5), key


@pytest.mark.slow
@pytest.mark.parametrize(
    "what",
    [
        ("--model.method", "StochasticLabelNoise", "--model.method.correction_epoch", "1"),
        ("--model.method", "CoTeaching", "--model.method.warm_up", "1"),
        ("--model.method", "EarlyLearningRegularization"),
        *(("--data.augmentation", recipe) for recipe in RECIPES),
    ],
    ids=lambda what: what[1],
)
def test_two_processes_remember_and_augment_as_one_does(what: tuple[str, ...], tmp_path: Path) -> None:
    states = []
    for folder, options in {"one": ("--trainer.devices", "1"), "two": TWO}.items():
        (tmp_path / folder).mkdir()
        done = noisy_lightning("fit", *COMMAND, *what, *options, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
        run = tmp_path / folder / "runs/default/run"
        states.append(torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"])
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-4, atol=1e-5, msg=name)


class BreaksOnOne(nn.Module):
    """A linear network whose output is not a number in the third step, on the second process only."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, num_classes))
        self.steps = 0

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image)
        self.steps += self.training
        return logits * (torch.nan if self.training and self.steps == 3 and get_rank() == 1 else 1)


@pytest.mark.slow
def test_what_breaks_on_one_of_two_processes_stops_both_and_is_said_once(tmp_path: Path) -> None:
    backbone = ("--model.backbone", f"{__name__}.BreaksOnOne")
    done = noisy_lightning("fit", *COMMAND, *backbone, *TWO, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("has diverged: loss is not finite in step 3 (epoch 1), learning rate 0.1") == 1
    assert "Traceback" not in done.stderr
    result = json.loads((tmp_path / "runs/default/run/result.json").read_text())
    assert result["diverged"] == {"what": "loss", "epoch": 0, "step": 3, "learning_rate": 0.1}


@pytest.mark.slow
def test_torchrun_trains_and_continues_a_named_run(tmp_path: Path) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-addr=127.0.0.1", "--master-port=29612"]
    command = ("fit", *COMMAND, *TWO)
    unnamed = noisy_lightning(*command[:-8], "--trainer.accelerator", "cpu", *TWO, cwd=tmp_path, launcher=launcher)
    assert unnamed.returncode != 0
    assert "run.version: name the run" in unnamed.stderr
    kill = {"KILL_AT": "1,2", "KILL_MARK": str(tmp_path / "killed")}
    doomed = (*command, "--trainer.callbacks+=tests.kill.KillOnce")
    assert noisy_lightning(*doomed, cwd=tmp_path, launcher=launcher, **kill).returncode != 0
    again = noisy_lightning(*doomed, cwd=tmp_path, launcher=launcher, **kill)
    assert again.returncode == 0, again.stderr
    assert "continuing" in again.stdout
    assert len(load(tmp_path / "runs/default/run").epochs) == 2


@pytest.mark.slow
def test_two_processes_draw_the_same_labels_in_every_epoch(tmp_path: Path) -> None:
    for folder, options in {"one": ("--trainer.devices", "1"), "two": TWO}.items():
        (tmp_path / folder).mkdir()
        done = noisy_lightning("fit", *COMMAND, "--data.redraw", "per_epoch", *options, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
    alone, together = (load(tmp_path / folder / "runs/default/run") for folder in ("one", "two"))
    assert alone.epoch_labels is not None
    assert together.epoch_labels is not None
    np.testing.assert_array_equal(alone.epoch_labels, together.epoch_labels)
    np.testing.assert_allclose(alone.loss, together.loss, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["undersample", "oversample", "sqrt"])
def test_two_processes_sample_and_weigh_classes_as_one_does(sampling: str, tmp_path: Path) -> None:
    # As many images per process in every batch: those of `oversample` are an even number.
    options = ("--data.sampling", sampling, "--model.class_weights", "[1, 9, 1, 9, 1, 9, 1, 9, 1, 9]")
    for folder, devices in {"one": ("--trainer.devices", "1"), "two": TWO}.items():
        (tmp_path / folder).mkdir()
        done = noisy_lightning("fit", *COMMAND, *options, *devices, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
    one, two = (tmp_path / folder / "runs/default/run" for folder in ("one", "two"))
    first, second = (torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for run in (one, two))
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-5, atol=1e-6)
    alone, together = load(one), load(two)
    np.testing.assert_allclose(alone.loss, together.loss, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(alone.loss), np.isnan(together.loss))


@pytest.mark.slow
def test_one_of_two_processes_trains_the_scores_of_the_noise(tmp_path: Path) -> None:
    scores = {"cache": "kept", "epochs": 1, "backbone": "tests.networks.Plain"}
    noise = {"class_path": "InstanceDependent", "init_args": {"rate": 0.3, "scores": scores}}
    command = (*COMMAND[:2], *COMMAND[6:], "--data.noise", json.dumps(noise), *TWO)
    done = noisy_lightning("fit", *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("on the true labels for 1 epochs") == 1
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert json.loads((tmp_path / "runs/default/run/noise.json").read_text())["realised_rate"] == 431 / 1437
