"""Regularizers within runs: resumed, refused, recorded, loaded again, and doing what their papers say."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn

from noisy_lightning import methods, regularizers
from noisy_lightning.data import Digits, Symmetric
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import Problem
from noisy_lightning.regularizers import SAM, CutMix, MixUp
from noisy_lightning.runs.records import load
from noisy_lightning.training.construction import paired
from noisy_lightning.training.module import NoisyClassifier
from tests.kill import Fall
from tests.methods.examples import EXAMPLES, NAMES, make
from tests.methods.test_contract import SMALL
from tests.networks import Plain, Random
from tests.processes import forked, noisy_lightning
from tests.training.test_distributed import COMMAND, TWO

SLN = ("--model.method", "StochasticLabelNoise", "--model.method.momentum", "0.9")
FORWARD = ("--model.method", "ForwardCorrection", "--model.method.warm_up", "2")
SAM_ = ("--model.gradient", "SAM")
RUNS = {
    "MixUp and SAM": ("--model.mixing", "MixUp", *SAM_),
    "MixUp, held-out samples": ("--model.mixing", "MixUp", *FORWARD),
    "CutMix": ("--model.mixing", "CutMix", *SLN),
    "ASAM": ("--model.gradient", "ASAM", "--model.method", "EarlyLearningRegularization"),
    "CDR": ("--model.gradient", "CDR", "--model.gradient.noise_rate", "0.4"),
}


def _state(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS)
def test_a_run_interrupted_in_mid_epoch_ends_as_if_nothing_had_happened(
    options: tuple[str, ...], run: Callable[..., int], tmp_path: Path
) -> None:
    command = (*SMALL, *options)
    assert run(*command, "--run.experiment", "whole") == 0
    command = (*command, "--run.checkpoint_every_n_steps", "2", "--trainer.callbacks+=tests.kill.Fall")
    Fall.at = (2, 3)
    with pytest.raises(ZeroDivisionError):
        run(*command)
    assert run(*command) == 0
    whole, fallen = tmp_path / "runs/whole/0", tmp_path / "runs/default/0"
    state = _state(fallen)
    for name, value in _state(whole).items():
        assert value.equal(state[name]), name
    assert (whole / "metrics.csv").read_text() == (fallen / "metrics.csv").read_text()
    np.testing.assert_array_equal(load(whole).loss, load(fallen).loss)
    oracle = "CDR" in options
    assert json.loads((fallen / "result.json").read_text())["oracle"] is oracle, "CDR was given the noise rate"


@pytest.mark.parametrize("name", ["MixUp, held-out samples", "CutMix"])
def test_a_mixed_run_in_half_precision_with_accumulation_stays_finite(
    name: str, run: Callable[..., int], tmp_path: Path
) -> None:
    half = ("--trainer.precision", "bf16-mixed", "--trainer.accumulate_grad_batches", "2")
    assert run(*SMALL, *RUNS[name], *half) == 0
    loss = load(tmp_path / "runs/default/0").loss
    assert np.isfinite(loss[~np.isnan(loss)]).all()
    assert all(value.isfinite().all() for value in _state(tmp_path / "runs/default/0").values())


@pytest.mark.parametrize("mixing", [MixUp, CutMix])
@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_a_method_is_trained_on_mixed_images_or_refuses_by_name(example: Any, mixing: Any) -> None:
    method = make(example, Problem(lambda: Plain(3, 1), CrossEntropy(), 3, 60))
    if method.mixable:
        assert method.views == ("weak",)
        assert isinstance(paired(method, mixing).mixing, mixing)
        return
    with pytest.raises(InputError, match=rf"model.mixing: {mixing.__name__} does not go with {example[0]}, which"):
        paired(method, mixing)


def test_the_methods_that_mix_images_are_those_of_one_label_each() -> None:
    mixable = {name for name, _ in EXAMPLES if getattr(methods, name).mixable}
    linear = {"Standard", "ForwardCorrection", "BackwardCorrection", "VolMinNet", "StochasticLabelNoise"}
    assert mixable == linear


@pytest.mark.parametrize("argument", [{"mixing": MixUp()}, {"gradient": SAM([])}])
def test_an_object_in_place_of_a_class_is_refused(argument: Any) -> None:
    with pytest.raises(InputError, match=r"give the class (MixUp|SAM), or functools.partial of it, not an object"):
        NoisyClassifier(10, 1, 1437, backbone=Plain, **argument)


def test_a_checkpoint_brings_them_back(tmp_path: Path) -> None:
    data = Digits(noise=Symmetric(0.4), batch_size=256)
    model = NoisyClassifier.for_data(data, Random, mixing=partial(MixUp, alpha=8.0), gradient=partial(SAM, rho=0.1))
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", **quiet)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "kept.ckpt")
    again = NoisyClassifier.load_from_checkpoint(tmp_path / "kept.ckpt")
    assert isinstance(again.gradient, SAM)
    assert again.gradient.rho == 0.1
    assert again.gradient.networks == [again.method.get_submodule("backbone")]
    assert again.method.pairing is not None
    assert isinstance(again.method.pairing.mixing, MixUp)
    assert again.method.pairing.mixing.alpha == 8
    assert model.method.pairing is not None
    assert again.method.pairing.seed.equal(model.method.pairing.seed)


def test_mixing_leaves_the_initial_weights_as_they_are() -> None:
    networks = []
    for mixing in (None, regularizers.CutMix):
        torch.manual_seed(0)
        networks.append(NoisyClassifier(10, 1, 1437, backbone=Plain, mixing=mixing).method.state_dict())
    for name, value in networks[0].items():
        assert value.equal(networks[1][name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MixUp and SAM", "CutMix", "CDR"])
def test_two_processes_train_as_one_does(name: str, tmp_path: Path) -> None:
    states = []
    for folder, start, options in (("one", forked, ("--trainer.devices", "1")), ("two", noisy_lightning, TWO)):
        (tmp_path / folder).mkdir()
        done = start("fit", *COMMAND, *RUNS[name], *options, cwd=tmp_path / folder)
        assert done.returncode == 0, done.stderr
        states.append(_state(tmp_path / folder / "runs/default/run"))
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-4, atol=1e-5, msg=key)


def _learned(seed: int, arguments: dict[str, Any]) -> tuple[float, float]:
    """Return the accuracy on clean test digits, and the share of wrong labels that the network has memorized."""
    torch.manual_seed(seed)
    data = Digits(noise=Symmetric(0.4), batch_size=64, val_fraction=0.0, seed=seed)
    model = NoisyClassifier.for_data(data, **arguments)
    trainer = L.Trainer(
        max_epochs=60, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False
    )
    trainer.fit(model, datamodule=data)
    accuracy = trainer.test(model, datamodule=data, verbose=False)[0]["test/acc"]
    with torch.no_grad():
        predicted = model.eval()(data.train_images(data.train_indices).float()).argmax(1)
    given, true = (torch.as_tensor(labels)[data.train_indices] for labels in (data.labels, data.true_labels))
    return accuracy, (predicted == given)[given != true].float().mean().item()


class Memorizing(nn.Sequential):
    """A network that learns wrong labels by heart."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        layers = [nn.Flatten(), nn.Linear(64 * in_channels, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU()]
        super().__init__(*layers, nn.Linear(512, num_classes))


def _accuracy(**arguments: Any) -> float:
    """Return the accuracy on clean digits after 40 epochs with 40 % of wrong labels."""
    torch.manual_seed(0)
    data = Digits(noise=Symmetric(0.4), batch_size=64, val_fraction=0.1, seed=0)
    optimizer = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    model = NoisyClassifier.for_data(data, Memorizing, **{"optimizer": optimizer, **arguments})
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = L.Trainer(max_epochs=40, accelerator="cpu", limit_val_batches=0, **quiet)
    trainer.fit(model, datamodule=data)
    return 100 * trainer.test(model, datamodule=data, verbose=False)[0]["test/acc"]


@pytest.mark.slow
def test_mixed_images_and_flat_places_keep_a_network_from_learning_wrong_labels_by_heart() -> None:
    alone = _accuracy()
    assert alone < 75
    assert _accuracy(mixing=partial(MixUp, alpha=8.0)) > alone + 10
    assert _accuracy(mixing=partial(CutMix, probability=1.0)) > alone + 10
    assert _accuracy(gradient=partial(SAM, rho=0.5)) > alone + 10
