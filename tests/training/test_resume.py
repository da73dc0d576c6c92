"""A run killed with SIGKILL and continued by the same command ends as if nothing had happened, bit for bit."""

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from noisy_lightning.runs.records import load
from tests.processes import forked

# Dropout, batch normalization, momentum, a schedule, augmentation, a body that is frozen at first: all that a resume
# can get wrong.
COMMAND = (
    *("fit", "--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "200"),
    *("--data.crop_padding", "1", "--data.horizontal_flip", "true"),
    *("--model.backbone", "tests.networks.Random", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"),
    *(
        "--model.optimizer.momentum",
        "0.9",
        "--model.lr_scheduler",
        "CosineAnnealingLR",
        "--model.lr_scheduler.T_max",
        "0",
    ),
    *("--model.freeze_body_epochs", "2", "--model.body_lr_factor", "0.5"),
    *("--trainer.max_epochs", "4", "--trainer.accelerator", "cpu", "--trainer.devices", "1"),
    *("--trainer.callbacks+=tests.kill.KillOnce",),
)


def _outcome(run: Path) -> tuple[dict[str, torch.Tensor], str, dict[str, object]]:
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    result = json.loads((run / "result.json").read_text())
    return (
        state,
        (run / "metrics.csv").read_text(),
        {key: result[key] for key in ("last_epoch", "best_epoch", "epochs")},
    )


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = forked(*COMMAND, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs/default/0"


@pytest.mark.xdist_group("resume")  # which compare with the same uninterrupted run
@pytest.mark.parametrize(
    ("kill_at", "options"),
    [
        ("2,3", ()),  # back to the end of the epoch before
        pytest.param("2,0", (), marks=pytest.mark.slow),
        ("2,4", ("--run.checkpoint_every_n_steps", "2")),  # on from within the epoch, the first without a frozen body
        ("1,4", ("--run.checkpoint_every_n_steps", "2")),  # and from within the last with one
        ("0,2", ()),  # before the first checkpoint: from the start, in the same folder
        pytest.param("1,3", ("--data.workers", "1", "--run.checkpoint_every_n_steps", "3"), marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_ends_as_if_nothing_had_happened(
    kill_at: str, options: tuple[str, ...], uninterrupted: Path, tmp_path: Path
) -> None:
    kill = {"KILL_AT": kill_at, "KILL_MARK": str(tmp_path / "killed")}
    assert forked(*COMMAND, *options, cwd=tmp_path, **kill).returncode == -signal.SIGKILL
    again = forked(*COMMAND, *options, cwd=tmp_path, **kill)
    assert again.returncode == 0, again.stderr
    assert ("continuing" in again.stdout) == (not kill_at.startswith("0"))
    run = tmp_path / "runs/default/0"
    assert not (tmp_path / "runs/default/1").exists()
    expected, got = _outcome(uninterrupted), _outcome(run)
    assert expected[1:] == got[1:]
    assert all(torch.equal(value, got[0][name]) for name, value in expected[0].items())
    one, other = load(uninterrupted), load(run)
    for name in ("loss", "confidence", "prediction"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert len(one.epochs) == 4


# Of 7 steps an epoch. A warm-up of 9 steps ends within the second epoch.
WARM_UP = (
    *("--model.lr_scheduler", "SequentialLR", "--model.lr_scheduler.interval", "step"),
    *("--model.lr_scheduler.milestones", "[9]", "--model.lr_scheduler.schedulers"),
    "[{class_path: LinearLR, init_args: {total_iters: 9}}, {class_path: CosineAnnealingLR, init_args: {T_max: 0}}]",
)
ONE_CYCLE = ("--model.lr_scheduler", "OneCycleLR", "--model.lr_scheduler.max_lr", "0.1")
AVERAGED = ("--model.ema_decay", "0.9")
LOW_RANK = (
    *("--model.backbone", "LoRA", "--model.backbone.name", "test_vit", "--model.backbone.arguments", "{img_size: 32}"),
    *("--model.ema_decay", "0.9", "--model.freeze_body_epochs", "1"),
)
WARMUP_COSINE = ("--model.lr_scheduler", "WarmupCosine", "--model.layer_decay", "0.5")
RECIPES = ("random_resized_crop", "rand_augment", "trivial_augment", "auto_augment_cifar10", "fixmatch", "cutout")
SHORT = (
    *("fit", "--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "200"),
    *("--model.backbone", "tests.networks.Random", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"),
    *("--model.optimizer.momentum", "0.9", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"),
    *("--trainer.devices", "1", "--trainer.callbacks+=tests.kill.KillOnce", "--run.checkpoint_every_n_steps", "1"),
)


@pytest.mark.parametrize(
    ("options", "kill_at"),
    [
        pytest.param(WARM_UP, "1,1", id="within the warm-up"),
        pytest.param(WARM_UP, "2,2", id="after the warm-up", marks=pytest.mark.slow),
        pytest.param(ONE_CYCLE, "1,3", id="one cycle"),
        pytest.param(AVERAGED, "1,3", id="averaged weights"),
        pytest.param(LOW_RANK, "1,3", id="low-rank updates", marks=pytest.mark.slow),
        pytest.param(WARMUP_COSINE, "0,4", id="within the warm-up of WarmupCosine"),
        pytest.param(WARMUP_COSINE, "1,3", id="WarmupCosine", marks=pytest.mark.slow),
        *(
            pytest.param(("--data.augmentation", recipe), "1,3", id=recipe, marks=pytest.mark.slow)
            for recipe in RECIPES
        ),
    ],
)
def test_a_run_killed_within_an_epoch_goes_on_with_the_same_learning_rates_averages_and_views(
    options: tuple[str, ...], kill_at: str, tmp_path: Path
) -> None:
    kill = {"KILL_AT": kill_at, "KILL_MARK": str(tmp_path / "killed")}
    assert forked(*SHORT, *options, cwd=tmp_path, **kill).returncode == -signal.SIGKILL
    again = forked(*SHORT, *options, cwd=tmp_path, **kill)
    assert again.returncode == 0, again.stderr
    assert "continuing" in again.stdout
    whole = forked(*SHORT, *options, "--run.version", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    expected, got = (_outcome(tmp_path / "runs/default" / name) for name in ("whole", "0"))
    assert expected[1:] == got[1:]
    assert all(torch.equal(value, got[0][name]) for name, value in expected[0].items())
    assert forked("test", "runs/default/0", cwd=tmp_path).returncode == 0
