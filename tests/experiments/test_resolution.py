"""Runs resolved in parts are those resolved alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from noisy_lightning.cli.keys import resolved
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.grid import GridRun, read_sweep
from noisy_lightning.experiments.resolution import Resolver
from tests.processes import ROOT

SWEEPS = sorted((ROOT / "configs/sweeps").glob("*.yaml"))


class Counting:
    """Counts what is resolved."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, words: Sequence[str]) -> dict[str, Any]:
        self.count += 1
        return resolved(words)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_run_resolved_in_parts_is_that_resolved_alone(path: Path) -> None:
    runs = read_sweep(path).runs(["--trainer.max_epochs", "3"])
    resolve = Resolver(resolved)
    for run in (runs[0], runs[len(runs) // 2], runs[-1]):
        assert resolve(run) == resolved(run.options)


def _run(*parts: Sequence[str]) -> GridRun:
    return GridRun({}, ["--data", "Digits"], parts)


def test_parts_are_resolved_once() -> None:
    resolve = Counting()
    shared = Resolver(resolve)
    losses, seeds = ("CE", "SCE", "GCE", "MAE"), range(5)
    for loss in losses:
        for seed in seeds:
            config = shared(_run(["--model.loss", loss], ["--data.seed", str(seed)]))
            assert config["data"]["init_args"]["seed"] == seed
    assert resolve.count == 1 + len(losses) + len(seeds)


def test_files_of_several_methods_are_resolved_once(tmp_path: Path) -> None:
    for name, epochs in {"one": 3, "other": 4}.items():
        (tmp_path / f"{name}.yaml").write_text(f"data: Digits\ntrainer: {{max_epochs: {epochs}}}\n")
    resolve = Counting()
    shared = Resolver(resolve)
    for file in ("one", "other"):
        for part in (["--data.seed", "1"], ["--data.seed", "2"], ["--model.loss", "SCE"]):
            run = GridRun({}, ["--config", str(tmp_path / f"{file}.yaml")], [part])
            assert {**shared(run), "config": None} == {**resolved(run.options), "config": None}
    assert resolve.count == 2 + 3
    same_as_first = GridRun({}, ["--config", str(tmp_path / "other.yaml")], [["--trainer.max_epochs", "3"]])
    assert shared(same_as_first)["trainer"]["max_epochs"] == 3


@pytest.mark.parametrize(
    "parts",
    [
        (["--model.loss", "SCE"], ["--model.loss.alpha", "0.5"]),
        (["--data.noise", "Symmetric"], ["--data.noise.rate", "0.3"]),
        (["--data.noise", "PairFlip", "--data.noise.rate", "0.1"], ["--data.noise.rate", "0.3"]),
        (["--model.method", "ELR"], ["--model.method", "SAT"]),
        (["--data", "MNIST"], ["--data.seed", "3"]),
        (["--trainer.max_epochs", "2"], ["--trainer.max_epochs", "3"]),
    ],
)
def test_parts_that_meet_are_resolved_together(parts: Sequence[Sequence[str]]) -> None:
    run = _run(*parts)
    assert Resolver(resolved)(run) == resolved(run.options)


def test_a_part_that_cannot_work_is_refused() -> None:
    with pytest.raises(InputError, match="SymmetricCrossEntropy takes no 'alph'"):
        Resolver(resolved)(_run(["--model.loss", "SCE"], ["--model.loss.alph", "0.5"]))


def test_what_comes_last_overrules_an_axis() -> None:
    run = GridRun({}, ["--data", "Digits"], [["--data.seed", "1"]], ["--data.seed", "2"])
    assert Resolver(resolved)(run)["data"]["init_args"]["seed"] == 2


def test_a_class_that_takes_over_an_argument_of_the_one_before_is_resolved_with_it() -> None:
    parts = (["--model.loss.alpha", "0.5"], ["--model.loss", "FocalLoss"])
    run = GridRun({}, ["--data", "Digits", "--model.loss", "SCE"], parts)
    config = resolved(run.options)
    assert config["model"]["loss"]["init_args"]["alpha"] == 0.5
    assert Resolver(resolved)(run) == config
