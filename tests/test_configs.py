"""Every configuration trains and is tested, on fabricated images of the right shape."""

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.optim import lr_scheduler

from noisy_lightning import methods
from noisy_lightning.cli.keys import resolved
from noisy_lightning.experiments.grid import read_sweep
from noisy_lightning.experiments.published import published
from noisy_lightning.experiments.resolution import Resolver
from noisy_lightning.methods import EpochContext
from noisy_lightning.methods.base import warn_of_short_run
from noisy_lightning.training.schedules import SequentialLR
from tests.fabricated import COUNT, QUICK, SMALL_FEATURES, SMALL_LOOKS, SMALL_PHOTOGRAPHS, fabricate, quickly
from tests.methods.toys import problem
from tests.tools.readme_tables import MEASURED, with_measured

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
SWEEPS = sorted(FOLDER.glob("sweeps/*.yaml"))
SELECTORS = [config for config in CONFIGS if "\nselector:" in config.read_text()]
TRAININGS = [config for config in CONFIGS if config not in SELECTORS]
EXPERIMENTS = [config for config in CONFIGS if re.match(r"study\d_|ma2020", config.stem)]
ONE_STEP = ("--trainer.limit_train_batches", "1", "--data.batch_size", "6", "--recorder.pictures", "false")
PROTOCOLS = yaml.safe_load((Path(__file__).parent / "protocols.yaml").read_text())


@pytest.mark.parametrize("config", SELECTORS, ids=lambda path: path.stem)
def test_a_selection_runs(config: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate(monkeypatch, COUNT // 2)
    assert run("clean", "--config", str(config), *quickly(config)) == 0
    assert Path(f"runs/{config.stem}/0/suspects.html").exists()


@pytest.mark.parametrize("config", TRAININGS, ids=lambda path: path.stem)
def test_a_configuration_runs(config: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate(monkeypatch, COUNT // 2)
    # Pretrained weights are replaced by random ones.
    options: tuple[str, ...] = ()
    if "weights: hub" in config.read_text():
        options += ("--model.backbone.weights", "null")
    if "weights: runs/" in config.read_text():
        options += ("--model.backbone.weights", "null")
    # Photographs are made small.
    if "Embedded" in config.read_text():
        options += SMALL_FEATURES if "ImageFolder" in config.read_text() else SMALL_LOOKS
    elif "image_size: 224" in config.read_text():
        options += SMALL_PHOTOGRAPHS if "crop_margin" in config.read_text() else SMALL_PHOTOGRAPHS[:2]
    if trusted := re.search(r"trusted: (\S+)", config.read_text()):
        Path(trusted[1]).write_text("index,label\n0,0\n1,1\n2,0\n")
    text = config.read_text()
    if selection := re.search(r"--data.selection (runs/\w+/0/selection.csv)", text):
        cleaning = re.search(r"noisy-lightning (clean --config .*?)\n#   noisy-lightning", text, re.DOTALL)
        assert cleaning
        command = cleaning[1].replace("\n#", "").split()
        selector = FOLDER.parent / command[2]
        assert run("clean", "--config", str(selector), *command[3:], *quickly(selector)) == 0
        # All of the few batches, or none has a sample that is kept.
        options += ("--data.selection", selection[1], "--trainer.limit_train_batches", "1.0")
    assert run("fit", "--config", str(config), *QUICK, *ONE_STEP, *options) == 0
    assert run("test", f"runs/{config.stem}/0", "last") == 0


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_explains_itself(config: Path) -> None:
    text = config.read_text()
    assert text.startswith("# ")
    command = "clean" if config in SELECTORS else "fit"
    assert f"noisy-lightning {command} --config configs/{config.name}" in text
    content = yaml.safe_load(text)
    assert isinstance(content["seed_everything"], int)
    assert isinstance(content["data"]["init_args"]["seed"], int)
    assert not str(content["data"]["init_args"].get("root", "data")).startswith("/")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_what_a_configuration_says_was_measured_is_what_a_ledger_says(config: Path) -> None:
    text = config.read_text()
    assert with_measured(text) == text, "make results writes it anew"
    assert not re.search(r"[Mm]easured\b[^.]*\d\.\d", MEASURED.sub("", text))


@pytest.mark.parametrize("config", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_explains_itself_and_names_what_there_is(
    config: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"noisy-lightning sweep --config configs/sweeps/{config.name}" in config.read_text()
    assert run("sweep", "--config", str(config), "--dry-run") == 0
    count = math.prod(map(len, read_sweep(config).axes.values()))
    assert f"{count} runs of" in capsys.readouterr().out
    sources = {one.source for one in published()}
    assert set(read_sweep(config).published) <= sources


@pytest.mark.slow
@pytest.mark.parametrize("config", SWEEPS, ids=lambda path: path.stem)
def test_the_last_value_of_each_axis_of_a_sweep_trains(
    config: Path, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate(monkeypatch, COUNT // 2)
    for name, points in read_sweep(config).axes.items():
        others = [f"{axis}={values[0].label}" for axis, values in read_sweep(config).axes.items() if axis != name]
        # Study 0's last network wants weights from a hub.
        last = next(point.label for point in reversed(points) if "EfficientNet" not in point.label)
        only = ("--only", f"{name}={last}", *others)
        assert run("sweep", "--config", str(config), *only, *QUICK) == 0, capsys.readouterr().out


def test_no_argument_of_the_mnist_sweep_is_set_for_a_longer_run(caplog: pytest.LogCaptureFixture) -> None:
    configs = _resolved(FOLDER / "sweeps/mnist.yaml")
    assert {config["trainer"]["max_epochs"] for config in configs.values()} == {20}
    labels = torch.zeros(54_000, dtype=torch.int64)  # all but those to validate on
    for name, config in configs.items():
        steps = 20 * math.ceil(len(labels) / config["data"]["init_args"]["batch_size"])
        context = EpochContext(0, 20, labels, lambda *_, **__: labels, max_steps=steps)
        method = config["model"]["method"]
        made = getattr(methods, method["class_path"].rpartition(".")[2])(problem(), **method.get("init_args", {}))
        warn_of_short_run(made, context)
        assert caplog.messages == [], name


def test_both_corrections_of_the_mnist_sweep_have_one_schedule() -> None:
    configs = _resolved(FOLDER / "sweeps/mnist.yaml")
    forward, backward = (configs[f"{name}Correction"]["model"] for name in ("Forward", "Backward"))
    assert forward["lr_scheduler"] == backward["lr_scheduler"]
    assert forward["lr_scheduler"]["class_path"].endswith("CosineAnnealingWarmRestarts")
    assert forward["optimizer"] == backward["optimizer"]


def test_the_rate_of_disc_at_much_noise_is_that_of_the_authors() -> None:
    model = yaml.safe_load((FOLDER / "disc_cifar10_sym80.yaml").read_text())["model"]
    lr, arguments = model["optimizer"]["init_args"]["lr"], model["lr_scheduler"]["init_args"]
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=lr)
    schedulers: list[Any] = [
        partial(getattr(lr_scheduler, one["class_path"]), **one["init_args"]) for one in arguments["schedulers"]
    ]
    scheduler = SequentialLR(optimizer, schedulers, arguments["milestones"])
    rates = []
    for _ in range(200):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    planned = [0.001 * min(1, (200 - epoch) / 80) for epoch in range(200)]
    assert rates == pytest.approx([0.001, *planned[:-1]])  # what is planned for an epoch acts in the next one


def _resolved(sweep: Path) -> dict[str, dict[str, Any]]:
    """Return the configuration of each method of a sweep."""
    resolve = Resolver(resolved)
    return {run.labels["method"]: resolve(run) for run in read_sweep(sweep).runs()}


def _flat(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield keys and values as the command line has them; a class goes by its name."""
    if not isinstance(content, dict):
        yield name, content
    elif "class_path" in content:
        yield name, content["class_path"]
        yield from _flat(content.get("init_args", {}), name)
    else:
        for key, value in content.items():
            yield from _flat(value, f"{name}.{key}" if name else key)


@pytest.mark.parametrize("config", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_has_the_protocol_of_its_source(config: Path) -> None:
    content, protocol = dict(_flat(yaml.safe_load(config.read_text()))), PROTOCOLS[config.stem]
    assert {key: content.get(key) for key in protocol} == protocol


def test_every_protocol_is_that_of_an_experiment() -> None:
    assert {name for name in PROTOCOLS if not name.startswith(".")} == {config.stem for config in EXPERIMENTS}
