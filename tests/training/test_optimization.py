"""A network's body: frozen, thawed, or learning at a rate of its own."""

from itertools import pairwise
from pathlib import Path
from typing import Any, final

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.backbones import SmallCNN
from noisy_lightning.cli.keys import TRAINER_DEFAULTS
from noisy_lightning.data import Digits, Symmetric
from noisy_lightning.errors import InputError
from noisy_lightning.training.module import NoisyClassifier
from noisy_lightning.training.optimization import Bodies
from tests.networks import Plain, Random


@final
class Weights(L.Callback):
    """Keeps the network's state at the start of each epoch, and at the end of the last."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def _keep(self, pl_module: L.LightningModule) -> None:
        self.states.append({name: value.clone() for name, value in pl_module.state_dict().items()})

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._keep(pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._keep(pl_module)


def _trainer(folder: Path, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    quiet = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    return L.Trainer(
        **{
            **TRAINER_DEFAULTS,
            **quiet,
            "default_root_dir": folder,
            "callbacks": list(callbacks),
            "enable_checkpointing": False,
            "max_epochs": 3,
            **options,
        }
    )


def _fit(
    folder: Path, network: type[nn.Module] = Plain, trainer: Any = None, **arguments: Any
) -> list[dict[str, Tensor]]:
    torch.manual_seed(0)
    model = NoisyClassifier(
        10, 1, 1437, backbone=network, **{"optimizer": lambda w: torch.optim.SGD(w, lr=0.1), **arguments}
    )
    data = Digits(noise=Symmetric(0.4), batch_size=256, val_fraction=0.2)
    _trainer(folder, weights := Weights(), **(trainer or {})).fit(model, data)
    return weights.states


def _changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name.removeprefix("method.backbone.layers.") for name in before if not before[name].equal(after[name])}


BODY = {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
CLASSIFIER = {"6.weight", "6.bias"}


def test_the_classifier_learns_first_and_then_all(tmp_path: Path) -> None:
    states = _fit(tmp_path, Random, freeze_body_epochs=2)
    changed = [_changed(before, after) for before, after in pairwise(states)]
    assert changed == [CLASSIFIER, CLASSIFIER, BODY | CLASSIFIER]


def test_without_frozen_epochs_all_learn_from_the_start(tmp_path: Path) -> None:
    states = _fit(tmp_path, Random)
    assert _changed(states[0], states[1]) == BODY | CLASSIFIER


def test_momentum_and_decay_do_not_move_a_frozen_body(tmp_path: Path) -> None:
    adam = lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1)  # noqa: E731
    states = _fit(tmp_path, Random, freeze_body_epochs=1, optimizer=adam)
    assert _changed(states[0], states[1]) == CLASSIFIER


@pytest.mark.parametrize("rates", [{}, {"body_lr_factor": 0.5}, {"layer_decay": 0.5}], ids=["one rate", "two", "many"])
def test_a_body_thaws_beside_a_classifier_that_has_momentum(rates: dict[str, float], tmp_path: Path) -> None:
    sgd = lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9)  # noqa: E731
    states = _fit(tmp_path, Random, freeze_body_epochs=1, optimizer=sgd, **rates)
    changed = [_changed(before, after) for before, after in pairwise(states)]
    assert changed == [CLASSIFIER, BODY | CLASSIFIER, BODY | CLASSIFIER]


def test_the_body_learns_at_a_fraction_of_the_rate(tmp_path: Path) -> None:
    one_step = {"max_epochs": 1, "limit_train_batches": 1}
    whole, tenth = (_fit(tmp_path / str(rate), body_lr_factor=rate, trainer=one_step) for rate in (1.0, 0.1))
    for name, before in whole[0].items():
        factor = 1.0 if ".4." in name else 0.1  # Plain's last layer has number 4
        torch.testing.assert_close(tenth[1][name] - before, factor * (whole[1][name] - before), atol=1e-7, rtol=1e-4)


def test_each_block_learns_at_a_rate_of_its_depth(tmp_path: Path) -> None:
    one_step = {"max_epochs": 1, "limit_train_batches": 1}
    whole = _fit(tmp_path / "1", SmallCNN, one_step)
    decayed = _fit(tmp_path / "2", SmallCNN, one_step, layer_decay=0.5, body_lr_factor=0.2)
    for name, before in whole[0].items():
        if name.endswith(("weight", "bias")):
            block = 4 if ".classifier." in name else int(name.split(".")[3])
            factor = 1.0 if block == 4 else 0.2 * 0.5 ** (4 - block)
            step = factor * (whole[1][name] - before)
            torch.testing.assert_close(decayed[1][name] - before, step, atol=1e-7, rtol=1e-3)


def test_blocks_of_two_networks_share_their_groups_and_other_weights_learn_at_the_full_rate() -> None:
    networks = [Plain(3, 1), Plain(3, 1)]
    other = nn.Parameter(torch.zeros(3, 3))
    weights = [*networks[0].parameters(), other, *networks[1].parameters()]
    groups = Bodies(networks, 0, 1.0, 0.5).groups(weights)
    assert [(len(own), factor) for own, factor in groups] == [(5, 1.0), (4, 0.5)]
    assert any(weight is other for weight in groups[0][0])
    assert [len(own) for own, _ in Bodies(networks, 0, 1.0, 1.0).groups(weights)] == [9]


def test_a_schedule_governs_both_rates(tmp_path: Path) -> None:
    rates: list[list[float]] = []

    @final
    class Rates(L.Callback):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    model = NoisyClassifier(
        10,
        1,
        1437,
        backbone=Plain,
        body_lr_factor=0.1,
        optimizer=lambda weights: torch.optim.SGD(weights, lr=1.0),
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5),
    )
    _trainer(tmp_path, Rates()).fit(model, Digits(batch_size=256))
    assert rates == [pytest.approx(pair) for pair in ([1.0, 0.1], [0.5, 0.05], [0.25, 0.025])]


def test_an_l1_penalty_adds_its_gradient_before_clipping(tmp_path: Path) -> None:
    one_step = {"max_epochs": 1, "limit_train_batches": 1}
    plain = _fit(tmp_path / "plain", trainer=one_step)
    decayed = _fit(tmp_path / "l1", l1_decay=0.01, trainer=one_step)
    clipped = _fit(tmp_path / "clip", l1_decay=0.01, trainer={**one_step, "gradient_clip_val": 1e-3})
    total = 0.0
    for name, before in plain[0].items():
        expected = plain[1][name] - 0.1 * 0.01 * before.sign()
        torch.testing.assert_close(decayed[1][name], expected, atol=1e-6, rtol=0)
        total += (clipped[1][name] - before).square().sum().item()
    assert total**0.5 == pytest.approx(0.1 * 1e-3, rel=1e-3)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("freeze_body_epochs", -1),
        ("l1_decay", -1.0),
        ("body_lr_factor", 0.0),
        ("body_lr_factor", float("nan")),
        ("layer_decay", 0.0),
        ("layer_decay", 1.5),
        ("layer_decay", float("nan")),
    ],
)
def test_a_value_out_of_range_is_refused(argument: str, value: float) -> None:
    arguments: dict[str, Any] = {argument: value}
    with pytest.raises(InputError, match=f"model.{argument}"):
        NoisyClassifier(10, 1, 10, backbone=Plain, **arguments)
