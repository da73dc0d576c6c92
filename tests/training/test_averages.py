"""Averaged weights: beside those that are trained, and in their place where a network is evaluated."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning import Digits, NoisyClassifier, backbones, load_run, methods
from noisy_lightning.backbones.checkpoint import read_weights
from noisy_lightning.errors import InputError
from noisy_lightning.methods import Method
from noisy_lightning.training.averages import WeightAverages
from tests.conftest import SMALL
from tests.methods.toys import problem
from tests.networks import Plain, Random
from tests.reference.averages import moving_average

Run = Callable[..., int]
AVERAGED = ("--model.ema_decay", "0.8")


class Weights(L.Callback):
    """Keeps the network's state at the start and after each step."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._keep(pl_module)

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: Any) -> None:
        self._keep(pl_module)

    def _keep(self, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, NoisyClassifier)
        self.states.append({name: value.clone() for name, value in pl_module.method.state_dict().items()})


def _fit(model: NoisyClassifier, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        **{"max_epochs": 2, **quiet, **options},
        accelerator="cpu",
        devices=1,
        callbacks=list(callbacks),
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, datamodule=Digits(batch_size=256, val_fraction=0.1))
    return trainer


def _model(network: Any = Random, decay: float | None = 0.8, **arguments: Any) -> NoisyClassifier:
    torch.manual_seed(0)
    optimizer = partial(torch.optim.SGD, lr=0.1)
    return NoisyClassifier(10, 1, 1437, backbone=network, optimizer=optimizer, ema_decay=decay, **arguments)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_average_is_that_of_the_formula(accumulate: int) -> None:
    model = _model()
    _fit(model, weights := Weights(), accumulate_grad_batches=accumulate)
    own = model.averages.averages.get_submodule("0.network").state_dict()
    steps = [weights.states[0], *weights.states[accumulate::accumulate]]
    for name, value in own.items():
        history = [state[f"backbone.{name}"] for state in steps]
        if value.is_floating_point():
            expected = moving_average([one.flatten().tolist() for one in history], 0.8)
            torch.testing.assert_close(value.flatten(), torch.tensor(expected), rtol=1e-4, atol=1e-6)
            assert not (name.startswith("layers.6") and value.equal(history[-1]))
        else:
            assert value.equal(history[-1]), "a number of batches is none to average"


@pytest.mark.parametrize("method", [methods.Standard, methods.EarlyLearningRegularizationPlus])
def test_the_weights_are_the_same_with_and_without_an_average(method: type[Method]) -> None:
    states = []
    for decay in (None, 0.9):
        _fit(_model(decay=decay, method=method), weights := Weights())
        states.append(weights.states[-1])
    assert states[0].keys() == states[1].keys()
    assert all(value.equal(states[1][name]) for name, value in states[0].items())


def test_both_are_validated_and_the_average_is_what_the_model_then_is() -> None:
    model = _model()
    trainer = _fit(model)
    model.eval()
    (loader,) = trainer.datamodule.val_dataloader()  # type: ignore[attr-defined]
    right: dict[str, list[Tensor]] = {"val/acc": [], "val_raw/acc": []}
    with torch.no_grad():
        for batch in loader:
            right["val/acc"].append(model(batch.image).argmax(1) == batch.label)
            right["val_raw/acc"].append(model.method(batch.image).argmax(1) == batch.label)
    for name, found in right.items():
        assert trainer.callback_metrics[name].item() == pytest.approx(torch.cat(found).float().mean().item())
    assert trainer.callback_metrics["val/loss"] != trainer.callback_metrics["val_raw/loss"]


def test_each_network_of_a_method_has_its_average() -> None:
    method = methods.CoTeaching(problem(), forget_rate=0.2)
    networks = [method.first, method.second]
    averages = WeightAverages(method, networks, 0.5)
    for network in networks:
        for weight in network.parameters():
            nn.init.ones_(weight)
    averages.update(1000)
    image = torch.randn(2, 2).double()
    outside = method(image), method.networks()["second"](image)
    with averages.standing(in_place=True):
        assert method.first is not networks[0]
        inside = method(image), method.networks()["second"](image)
        with averages.standing(in_place=False):
            assert method(image).equal(outside[0])
        assert method(image).equal(inside[0])
    assert method.first is networks[0]
    assert method.second is networks[1]
    assert not inside[0].equal(outside[0])
    assert not inside[1].equal(outside[1])


def test_a_network_within_several_parts_is_replaced_in_all_of_them() -> None:
    method = methods.Standard(problem())
    network = method.backbone
    method.wrapper = nn.Sequential(network, nn.Identity())
    averages = WeightAverages(method, [network], 0.5)
    averages.put(in_place=True)
    assert method.backbone is method.wrapper[0] is not network
    averages.put(in_place=False)
    assert method.backbone is method.wrapper[0] is network


def test_files_hold_the_average_where_weights_are_looked_for(run: Run) -> None:
    assert run("fit", *SMALL, *AVERAGED, "--test_every_epoch", "true") == 0
    assert run("test", "runs/default/0") == 0
    result = json.loads(Path("runs/default/0/result.json").read_text())
    with Path("runs/default/0/metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    data = Digits()
    data.setup("test")
    (loader,) = data.test_dataloader()
    for name in ("best", "last"):
        tested, opened = result["test"][name], load_run("runs/default/0", name)
        row = rows[tested["epoch"]]
        for network, key in {"": "test/acc", "_raw": "test_raw/acc"}.items():
            assert tested[key] == pytest.approx(float(row[f"test{network}/acc"]))
        with torch.no_grad():
            right = [(opened.model(batch.image).argmax(1) == batch.true_label) for batch in loader]
            exported = [(opened.model.method(batch.image).argmax(1) == batch.true_label) for batch in loader]
        for found in (right, exported):
            assert torch.cat(found).float().mean().item() == pytest.approx(tested["test/acc"])
        weights = read_weights(opened.checkpoint)
        averaged = opened.model.method.state_dict()["backbone.layers.2.weight"]
        assert weights["method.backbone.layers.2.weight"].equal(averaged)
        assert not weights["averages.averages.0.network.layers.2.weight"].equal(averaged)
    assert max(float(row["val/acc"]) for row in rows) == pytest.approx(result["best_epoch"]["val/acc"])


def test_predictions_and_an_exported_model_are_those_of_the_average(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, *AVERAGED) == 0
    assert run("predict", "runs/default/0", "last") == 0
    with Path("runs/default/0/predictions_last.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "val"]
    accuracy = sum(row["class"] == row["label"] for row in rows) / len(rows)
    with Path("runs/default/0/metrics.csv").open(newline="") as file:
        assert accuracy == pytest.approx(float(list(csv.DictReader(file))[-1]["val/acc"]))
    capsys.readouterr()
    assert run("export", "runs/default/0", "last", "--format", "torch") == 0
    assert "the predicted class is the same for 100 of 100" in capsys.readouterr().out


def test_a_model_that_was_opened_goes_on_with_its_own_weights(run: Run) -> None:
    assert run("fit", *SMALL, *AVERAGED) == 0
    model = load_run("runs/default/0", "last").model.train()
    averaged = model.method.state_dict()["backbone.layers.2.weight"].clone()
    _fit(model, weights := Weights(), max_epochs=1, limit_train_batches=1)
    before, after = (state["backbone.layers.2.weight"] for state in weights.states)
    assert not before.equal(averaged)
    assert not after.equal(before)


def test_another_network_starts_from_the_average(run: Run) -> None:
    network = ("--model.backbone", "Timm", "--model.backbone.name", "test_resnet", "--model.backbone.image_size", "32")
    assert run("fit", *SMALL, *network, *AVERAGED, "--trainer.max_epochs", "1") == 0
    path = "runs/default/0/checkpoints/last.ckpt"
    started = backbones.Timm(10, 1, "test_resnet", weights=path).network.state_dict()
    stored = read_weights(Path(path))
    assert all(value.equal(stored[f"method.backbone.network.{name}"]) for name, value in started.items())


@pytest.mark.parametrize("decay", [0.0, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=r"model\.ema_decay must be in \(0, 1\), got"):
        _model(decay=decay)


def test_weights_in_half_precision_are_refused() -> None:
    with pytest.raises(InputError, match=r"ema_decay averages float32 weights: --trainer\.precision bf16-mixed"):
        _fit(_model(Plain), precision="bf16-true")


def test_the_average_of_a_run_in_mixed_precision_is_finite() -> None:
    model = _model()
    trainer = _fit(model, precision="bf16-mixed")
    assert all(value.isfinite().all() for value in model.averages.state_dict().values())
    assert trainer.callback_metrics["val/loss"].isfinite()
