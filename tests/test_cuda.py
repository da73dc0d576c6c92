"""What a GPU changes, and what it must not; skipped where there is none."""

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisy_lightning.data.loading.augment import uniforms
from noisy_lightning.data.loading.recipes import Recipe
from noisy_lightning.losses import RobustLoss
from noisy_lightning.runs.environment import device_name
from noisy_lightning.runs.records import load
from tests.data.loading.recipes.test_recipes import ALL, MEAN
from tests.losses.test_contract import LOSSES, draw, value_and_gradient
from tests.methods.examples import EXAMPLES, NAMES, options
from tests.processes import noisy_lightning

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

EPOCHS = 3
FIT = (
    *("fit", "--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "300"),
    *("--data.crop_padding", "1", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"),
    *("--model.optimizer.momentum", "0.9", "--trainer.max_epochs", str(EPOCHS), "--trainer.devices", "1"),
    *("--trainer.enable_progress_bar", "false", "--recorder.pictures", "false"),
)
PLAIN = ("--model.backbone", "tests.networks.Plain")
RANDOM = ("--model.backbone", "tests.networks.Random")
GPU, CPU = ("--trainer.accelerator", "gpu"), ("--trainer.accelerator", "cpu")


def _state(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints/last.ckpt", map_location="cpu", weights_only=True)
    return state["state_dict"]  # type: ignore[return-value]


@pytest.mark.parametrize("make_loss", LOSSES, ids=lambda loss: loss.__name__)
def test_a_loss_is_the_same(make_loss: Callable[[], RobustLoss]) -> None:
    logits, label = draw()
    expected = value_and_gradient(make_loss(), logits, label)
    moved = logits.detach().cuda().requires_grad_()
    for one, other in zip(expected, value_and_gradient(make_loss().cuda(), moved, label.cuda()), strict=True):
        torch.testing.assert_close(other.cpu(), one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_augmentation_is_the_same(recipe: Recipe) -> None:
    shape, random = (64, 32, 32, 3), torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
    draws = uniforms("test", (0,), torch.arange(len(images)), recipe.draws)
    expected = recipe(images, draws, MEAN, (32, 32))
    found = recipe(images.cuda(), draws, MEAN.cuda(), (32, 32)).cpu()
    differing = found.int() - expected.int()
    assert (differing != 0).float().mean() < 0.02  # where a value or a place is between two
    assert (differing.abs() > 1).float().mean() < 0.005


@pytest.mark.parametrize("recipe", ["rand_augment", "random_resized_crop", "cutout", "color_jitter"])
def test_a_run_with_a_recipe_learns_as_on_the_cpu(recipe: str, run: Callable[..., int], tmp_path: Path) -> None:
    for name, place in {"cpu": CPU, "gpu": GPU}.items():
        assert run(*FIT, *PLAIN, *place, "--data.augmentation", recipe, "--run.version", name) == 0
    cpu, gpu = (np.nanmean(load(tmp_path / "runs/default" / name).loss, axis=1) for name in ("cpu", "gpu"))
    np.testing.assert_allclose(gpu, cpu, rtol=1e-2)


def test_a_run_is_the_same_and_its_weights_serve_the_cpu(run: Callable[..., int], tmp_path: Path) -> None:
    for name, place in {"cpu": CPU, "gpu": GPU}.items():
        assert run(*FIT, *PLAIN, *place, "--run.version", name) == 0
        assert run("test", f"runs/default/{name}") == 0
        assert run("predict", f"runs/default/{name}", "last") == 0
    cpu, gpu = (tmp_path / "runs/default" / name for name in ("cpu", "gpu"))
    for name in ("loss", "confidence", "margin"):
        np.testing.assert_allclose(getattr(load(gpu), name), getattr(load(cpu), name), rtol=1e-3, atol=1e-3)
    predictions = []
    for path in (cpu, gpu):
        with np.load(path / "predictions_last.npz") as archive:
            predictions.append(archive["probability"])
    np.testing.assert_allclose(predictions[0], predictions[1], atol=1e-3)
    tests = [json.loads((path / "result.json").read_text())["test"]["last"]["test/acc"] for path in (cpu, gpu)]
    assert tests[0] == pytest.approx(tests[1], abs=0.006)  # two images
    assert run("test", "runs/default/gpu", "last", *CPU) == 0
    on_cpu = json.loads((gpu / "result.json").read_text())["test"]["last"]["test/acc"]
    assert on_cpu == pytest.approx(tests[1], abs=0.006)


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_a_method_learns_as_on_the_cpu(example: Any, run: Callable[..., int], tmp_path: Path) -> None:
    for name, place in {"cpu": CPU, "gpu": GPU}.items():
        options_of_both = (*FIT, *PLAIN, *options(example), "--data.batch_size", "100")
        assert run(*options_of_both, *place, "--run.version", name) == 0
    cpu, gpu = (np.nanmean(load(tmp_path / "runs/default" / name).loss, axis=1) for name in ("cpu", "gpu"))
    # Methods draw on the CPU, so the two differ by rounding alone. Whoever learns nothing is off by 5e-3 and more.
    np.testing.assert_allclose(gpu, cpu, rtol=1e-3)
    assert run("test", "runs/default/gpu") == 0
    assert all(value.isfinite().all() for value in _state(tmp_path / "runs/default/gpu").values())


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_a_method_trains_in_half_precision(example: Any, run: Callable[..., int], tmp_path: Path) -> None:
    assert run(*FIT, *RANDOM, *options(example), *GPU, "--trainer.precision", "bf16-mixed") == 0
    state = _state(tmp_path / "runs/default/0")
    assert all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize(
    "extra",
    [
        ("--trainer.precision", "16-mixed", "--trainer.gradient_clip_val", "1"),
        ("--trainer.precision", "16-mixed", "--trainer.accumulate_grad_batches", "2", "--model.l1_decay", "1e-5"),
        ("--data.workers", "1"),
        ("--trainer.deterministic", "true", "--model.optimizer.lr", "0.01", "--model.backbone", "ResNet18"),
        ("--trainer.precision", "bf16-mixed", "--model.compile", "true", "--model.backbone", "SmallCNN"),
        ("--test_every_epoch", "true", "--model.channels_last", "false"),
    ],
    ids=lambda extra: extra[0] + extra[1] + extra[-1],
)
def test_an_option_works(extra: tuple[str, ...], tmp_path: Path) -> None:
    done = noisy_lightning(*FIT, *RANDOM, *GPU, *extra, cwd=tmp_path, CUBLAS_WORKSPACE_CONFIG=":4096:8")
    assert done.returncode == 0, done.stderr
    loss = load(tmp_path / "runs/default/0").loss
    assert np.nanmean(loss[-1]) < np.nanmean(loss[0])
    result = json.loads((tmp_path / "runs/default/0/result.json").read_text())
    assert result["hardware"]["name"] == device_name(torch.device("cuda"))
    assert result["peak_memory_mib"] > 0


@pytest.mark.parametrize("kill_at", ["1,0", "1,3"])
def test_a_killed_run_ends_as_if_nothing_had_happened(kill_at: str, tmp_path: Path) -> None:
    command = [*FIT, *RANDOM, *GPU, "--trainer.deterministic", "warn", "--run.checkpoint_every_n_steps", "2"]
    command += ["--trainer.callbacks+=tests.kill.KillOnce"]
    fixed = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    assert noisy_lightning(*command, "--run.version", "whole", cwd=tmp_path, **fixed).returncode == 0
    kill = fixed | {"KILL_AT": kill_at, "KILL_MARK": str(tmp_path / "killed")}
    command += ["--run.version", "killed"]
    assert noisy_lightning(*command, cwd=tmp_path, **kill).returncode == -signal.SIGKILL
    again = noisy_lightning(*command, cwd=tmp_path, **kill)
    assert again.returncode == 0, again.stderr
    assert "continuing" in again.stdout
    whole, killed = (tmp_path / "runs/default" / name for name in ("whole", "killed"))
    for name, value in _state(whole).items():
        assert value.equal(_state(killed)[name]), name
    np.testing.assert_array_equal(load(whole).loss, load(killed).loss)


def test_two_runs_of_a_sweep_share_a_gpu(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed_everything: 1\n")
    (tmp_path / "sweep.yaml").write_text(
        "{config: base.yaml, axes: {loss: {CE: {}, MAE: {model.loss: MeanAbsoluteError}}}}\n"
    )
    command = ("sweep", "--config", "sweep.yaml", "--jobs", "2", "--devices", "0")
    done = noisy_lightning(*command, *FIT[1:], *PLAIN, *GPU, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "runs/sweep/ledger.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["device"] for row in rows] == 2 * [device_name(torch.device("cuda"))]
    assert all(float(row["images_per_second"]) > 0 for row in rows)


@pytest.mark.parametrize(
    "selector",
    [
        ("--selector", "INCV", "--selector.epochs", "2"),
        ("--selector", "NoisyCrossValidation"),
    ],
    ids=lambda selector: selector[1],
)
def test_labels_are_selected(selector: tuple[str, ...], tmp_path: Path) -> None:
    done = noisy_lightning("clean", *FIT[1:], *PLAIN, *GPU, *selector, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (selection,) = tmp_path.glob("runs/*/*/selection.csv")
    assert len(selection.read_text().splitlines()) == 1438  # with the header
