"""SAM, ASAM and CDR against their formulas, in plain steps and within a run of Lightning's."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.cli.keys import TRAINER_DEFAULTS
from noisy_lightning.data import Digits, Symmetric
from noisy_lightning.errors import InputError
from noisy_lightning.methods import CoTeaching, EarlyLearningRegularization
from noisy_lightning.regularizers import ASAM, CDR, SAM, GradientRule
from noisy_lightning.regularizers.critical_gradients import kth_largest
from noisy_lightning.training.module import NoisyClassifier
from noisy_lightning.training.second_pass import check_rule
from noisy_lightning.types import Batch
from tests.methods import toys
from tests.networks import Plain, Random
from tests.reference import sharpness as reference

Lists = list[list[float]]


def _lists(tensors: Any) -> Lists:
    return [tensor.detach().flatten().tolist() for tensor in tensors]


def _uphill(rule: str, network: nn.Module, w: Lists, g: Lists) -> Lists:
    """Return w + ε of a paper."""
    names = [name for name, _ in network.named_parameters()]
    uphill: Lists = {
        "SAM": lambda: reference.sam(w, g, 0.3),
        "ASAM": lambda: reference.asam_authors(w, g, names, 0.7, 0.02),
        "davda54": lambda: reference.asam_davda54(w, g, 2.0),
    }[rule]()
    return uphill


RULES: dict[str, Callable[[list[nn.Module]], GradientRule]] = {
    "SAM": partial(SAM, rho=0.3),
    "ASAM": partial(ASAM, rho=0.7, eta=0.02),
    "davda54": partial(ASAM, rho=2.0, form="davda54"),
}


def _network() -> nn.Module:
    """Return a network with weights, biases and batch normalization."""
    return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, toys.K)).double()


def _gradient(network: nn.Module, w: Lists, x: Tensor, y: Tensor) -> Lists:
    """Return the gradient of the mean cross-entropy at given weights, of a copy of a network."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight, row in zip(other.parameters(), w, strict=True):
            weight.copy_(torch.tensor(row, dtype=weight.dtype).view_as(weight))
    return _lists(torch.autograd.grad(F.cross_entropy(other(x), y), list(other.parameters())))


@pytest.mark.parametrize("name", RULES)
def test_the_gradient_is_that_of_the_paper_s_place_uphill(name: str) -> None:
    torch.manual_seed(0)
    network = _network()
    rule = RULES[name]([network])
    images, labels = toys.points()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3, momentum=0.9, weight_decay=0.01)
    w, velocity = _lists(network.parameters()), [[0.0] * weight.numel() for weight in network.parameters()]
    for index in (*toys.batches(0), *toys.batches(1)):
        x, y = images[index], labels[index]

        def take(x: Tensor = x, y: Tensor = y) -> None:
            optimizer.zero_grad()
            with torch.enable_grad():
                F.cross_entropy(network(x), y).backward()

        take()
        before = [weight.detach().clone() for weight in network.parameters()]
        rule.apply(take)
        assert all(weight.equal(value) for weight, value in zip(network.parameters(), before, strict=True))
        optimizer.step()

        at_w = _gradient(network, w, x, y)
        uphill = _gradient(network, _uphill(name, network, w, at_w), x, y)
        for i, row in enumerate(w):
            for j in range(len(row)):
                velocity[i][j] = 0.9 * velocity[i][j] + uphill[i][j] + 0.01 * row[j]
                w[i][j] -= 0.3 * velocity[i][j]
        for weight, row in zip(network.parameters(), w, strict=True):
            torch.testing.assert_close(weight.detach().flatten(), torch.tensor(row, dtype=weight.dtype))


def test_golden_steps_uphill() -> None:
    """By hand: w = (3, -4), g = (0.6, 0.8), whose norm is 1; T·g of ASAM is (1.8, 3.2)."""
    network = nn.Linear(2, 1, bias=False)
    seen: list[Tensor] = []
    norm = (1.8**2 + 3.2**2) ** 0.5
    for rule, expected in (
        (SAM([network], 0.5), [3.3, -3.6]),
        (ASAM([network], 0.5, 0.0), [3 + 0.5 * 9 * 0.6 / norm, -4 + 0.5 * 16 * 0.8 / norm]),
        (ASAM([network], 2.0, form="davda54"), [3 + 2 * 9 * 0.6 / norm, -4 + 2 * 16 * 0.8 / norm]),
    ):
        with torch.no_grad():
            network.weight.copy_(torch.tensor([[3.0, -4.0]]))
        network.weight.grad = torch.tensor([[0.6, 0.8]])
        rule.apply(lambda: seen.append(network.weight.detach().clone()))
        torch.testing.assert_close(seen.pop(), torch.tensor([expected]))
        assert network.weight.tolist() == [[3.0, -4.0]]


@pytest.mark.parametrize("name", RULES)
def test_the_scale_of_half_precision_moves_nothing_else(name: str) -> None:
    torch.manual_seed(0)
    network = _network()
    rule, places = RULES[name]([network]), []
    for scale in (1.0, 2.0**16, torch.inf):
        for weight in network.parameters():
            weight.grad = torch.ones_like(weight) * scale
        rule.apply(lambda: places.append([weight.detach().clone() for weight in network.parameters()]))
    for one, other, unmoved, weight in zip(*places, network.parameters(), strict=True):
        torch.testing.assert_close(one, other)
        assert unmoved.equal(weight)


def test_each_network_has_a_norm_of_its_own_and_what_is_frozen_stays() -> None:
    networks = [nn.Linear(2, 2), nn.Linear(2, 2)]
    networks[1].bias.requires_grad_(False)
    for network, size in zip(networks, (1.0, 100.0), strict=True):
        for weight in network.parameters():
            weight.grad = size * torch.ones_like(weight) if weight.requires_grad else None
    before = [[weight.detach().clone() for weight in network.parameters()] for network in networks]
    moves: list[float] = []

    def measure() -> None:
        for network, kept in zip(networks, before, strict=True):
            pairs = zip(network.parameters(), kept, strict=True)
            moves.append(torch.cat([(weight - value).flatten() for weight, value in pairs]).norm().item())
        assert networks[1].bias.equal(before[1][1])

    SAM([*networks, nn.Linear(1, 1)], 0.05).apply(measure)
    assert moves == [pytest.approx(0.05, rel=1e-4)] * 2


# CDR


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.45, 0.8, 0.99])
def test_only_critical_gradients_are_left(rate: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4)).double()
    F.cross_entropy(network(torch.randn(5, 1, 4, 4).double()), torch.arange(5) % 4).backward()
    weights = list(network.parameters())
    g = [weight.grad for weight in weights if weight.grad is not None]
    expected = reference.cdr(_lists(weights), _lists(g), [weight.ndim for weight in weights], rate)
    CDR([network], rate).apply(lambda: pytest.fail("one pass is enough"))
    for weight, row in zip(weights, expected, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad.flatten(), torch.tensor(row, dtype=torch.float64), rtol=0, atol=0)


def test_the_number_of_critical_weights_is_rounded_as_published_and_ties_are_kept() -> None:
    layer = nn.Linear(15, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1)
    for scores, kept in ((torch.arange(1.0, 16), [14.0, 15.0]), (torch.ones(15), [1.0] * 15)):
        layer.weight.grad = scores.view(1, 15).clone()
        CDR([layer], 0.8).apply(lambda: None)  # ⌊0.2·15⌋ is 2 in floating point
        left = layer.weight.grad[layer.weight.grad > 0]
        torch.testing.assert_close(left, torch.tensor(kept) * (1 - 0.8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_threshold_is_that_of_a_sorted_list(dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    for values in (torch.randn(2000, generator=random).exp(), torch.zeros(9), torch.tensor([1.0, 1.0, 0.0, torch.inf])):
        values = values.to(dtype)  # noqa: PLW2901
        ordered = values.sort(descending=True).values
        for k in {1, 2, len(values) // 2, len(values) - 1, len(values)}:
            assert kth_largest(values, k) == ordered[k - 1]


def test_each_network_has_a_threshold_of_its_own() -> None:
    networks = [nn.Linear(10, 1, bias=False), nn.Linear(10, 1, bias=False)]
    for network, size in zip(networks, (1.0, 100.0), strict=True):
        with torch.no_grad():
            network.weight.fill_(1)
        network.weight.grad = size * torch.arange(1.0, 11)[None]
    CDR(networks, 0.5).apply(lambda: None)
    assert [int((network.weight.grad != 0).sum()) for network in networks if network.weight.grad is not None] == [5, 5]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (partial(SAM, rho=0.0), "rho"),
        (partial(ASAM, rho=-1.0), "rho"),
        (partial(ASAM, eta=-0.1), "eta"),
        (partial(ASAM, form="other"), "form"),  # type: ignore[arg-type]
        (partial(CDR, noise_rate=1.0), "noise_rate"),
    ],
)
def test_an_argument_out_of_range_is_named_with_its_key(make: Any, name: str) -> None:
    with pytest.raises(InputError, match=rf"^model.gradient: {name} must be"):
        NoisyClassifier(10, 1, 1437, backbone=Plain, gradient=make)


# Within a run


@final
class Watch(L.Callback):
    """Keeps the weights and the batches of a run, and what Lightning says each step's loss is."""

    def __init__(self) -> None:
        self.weights: list[Lists] = []
        self.batches: list[Batch] = []
        self.losses: list[float] = []
        self.recorded: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.weights.append(_lists(pl_module.parameters()))
        self.batches.append(batch)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, NoisyClassifier)
        assert pl_module.last_step is not None
        self.losses.append(outputs["loss"].item())
        self.recorded.append(pl_module.last_step.losses.detach())

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.weights.append(_lists(pl_module.parameters()))


def _fit(folder: Path, network: type[nn.Module] = Plain, trainer: Any = None, **arguments: Any) -> tuple[Watch, Any]:
    torch.manual_seed(0)
    model = NoisyClassifier(
        *(10, 1, 1437),
        **{"backbone": network, "optimizer": lambda w: torch.optim.SGD(w, lr=0.5, momentum=0.9), **arguments},
    )
    quiet = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False}
    watch = Watch()
    options = {**TRAINER_DEFAULTS, **quiet, "enable_checkpointing": False, "max_epochs": 1, **(trainer or {})}
    callbacks = [watch, *(options.pop("callbacks", None) or [])]
    L.Trainer(**{**options, "default_root_dir": folder, "callbacks": callbacks}).fit(
        model, Digits(noise=Symmetric(0.4), batch_size=256)
    )
    return watch, model


def test_decay_penalty_and_clipping_act_at_the_weights_on_the_second_gradient(tmp_path: Path) -> None:
    """A step by hand: g₂ at w + ε, plus δ·sign(w), clipped, plus decay·w, with momentum."""
    watch, model = _fit(
        tmp_path,
        optimizer=lambda w: torch.optim.SGD(w, lr=0.5, momentum=0.9, weight_decay=0.01),
        gradient=partial(SAM, rho=0.3),
        l1_decay=0.02,
        trainer={"gradient_clip_val": 0.3},
    )
    network = copy.deepcopy(model.method.backbone).double()
    w = [list(row) for row in watch.weights[0]]
    velocity = [[0.0] * len(row) for row in w]
    assert len(watch.batches) > 4
    for number, batch in enumerate(watch.batches):
        x, y = batch.image.double(), batch.label
        uphill = reference.sam(w, _gradient(network, w, x, y), 0.3)
        g = _gradient(network, uphill, x, y)
        for g_i, w_i in zip(g, w, strict=True):
            for j, w_ij in enumerate(w_i):
                g_i[j] += 0.02 * ((w_ij > 0) - (w_ij < 0))
        norm = sum(g_ij**2 for row in g for g_ij in row) ** 0.5
        assert norm > 0.3, "clipping has something to do"
        for i, row in enumerate(w):
            for j in range(len(row)):
                velocity[i][j] = 0.9 * velocity[i][j] + g[i][j] * 0.3 / (norm + 1e-6) + 0.01 * row[j]
                row[j] -= 0.5 * velocity[i][j]
        for ours, theirs in zip(watch.weights[number + 1], w, strict=True):
            torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), rtol=1e-3, atol=1e-4)


def test_what_is_recorded_and_shown_is_the_first_pass(tmp_path: Path) -> None:
    watch, model = _fit(tmp_path, gradient=partial(SAM, rho=0.5))
    network = copy.deepcopy(model.method.backbone).double()
    for w, batch, loss, recorded in zip(watch.weights[:-1], watch.batches, watch.losses, watch.recorded, strict=True):
        with torch.no_grad():
            for weight, row in zip(network.parameters(), w, strict=True):
                weight.copy_(torch.tensor(row).view_as(weight))
            expected = F.cross_entropy(network(batch.image.double()), batch.label, reduction="none")
        torch.testing.assert_close(recorded.double(), expected, rtol=1e-4, atol=1e-5)
        assert loss == pytest.approx(expected.mean().item(), rel=1e-4)


def test_a_scheduler_sets_the_rates_of_a_run_with_sam(tmp_path: Path) -> None:
    rates: list[float] = []

    @final
    class Rates(L.Callback):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    _fit(
        tmp_path,
        gradient=SAM,
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1),
        trainer={"max_epochs": 3, "callbacks": [Rates()]},
    )
    assert rates == [pytest.approx(rate) for rate in (0.5, 0.05, 0.005)]


@pytest.mark.parametrize("gradient", [SAM, ASAM, partial(CDR, noise_rate=0.4)], ids=["SAM", "ASAM", "CDR"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("method", [EarlyLearningRegularization, partial(CoTeaching, forget_rate=0.3)])
def test_a_run_in_half_precision_learns(gradient: Any, precision: str, method: Any, tmp_path: Path) -> None:
    half: dict[str, Any] = {"precision": precision}
    if precision == "16-mixed":  # which Lightning replaces on a CPU, unless a plugin says how
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)  # so that the first steps overflow
        half = {"plugins": [MixedPrecision("16-mixed", "cpu", scaler)], "precision": None}
    start, model = _fit(tmp_path, Random, gradient=gradient, method=method, trainer={**half, "max_epochs": 3})
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert start.weights[0] != start.weights[-1]
    if precision == "16-mixed":
        assert start.weights[0] == start.weights[1], "a step that overflows is skipped"


@pytest.mark.parametrize("gradient", [SAM, ASAM])
def test_gradient_accumulation_is_refused_by_name(gradient: Any, tmp_path: Path) -> None:
    for trainer in (
        {"accumulate_grad_batches": 2},
        {"callbacks": [GradientAccumulationScheduler({1: 2})]},
    ):
        with pytest.raises(InputError, match=rf"{gradient.__name__} takes a second pass .*accumulate_grad_batches"):
            _fit(tmp_path, gradient=gradient, trainer=trainer)


def test_a_strategy_that_divides_gradients_is_refused_by_name() -> None:
    trainer: Any = SimpleNamespace(strategy=FSDPStrategy(), callbacks=[], accumulate_grad_batches=1)
    with pytest.raises(InputError, match=r"CDR needs whole gradients, which FSDPStrategy divides among devices"):
        check_rule(CDR([], 0.4), trainer)


def test_cdr_goes_with_gradient_accumulation(tmp_path: Path) -> None:
    watch, _ = _fit(tmp_path, gradient=partial(CDR, noise_rate=0.4), trainer={"accumulate_grad_batches": 2})
    assert watch.weights[0] == watch.weights[1]
    before, after = (torch.cat([torch.tensor(row) for row in watch.weights[number][::2]]) for number in (0, 2))
    assert int((before != after).sum()) == int(0.6 * len(before))
