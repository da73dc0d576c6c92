"""Schedules of the learning rate: how long they are, how often they step, and one after another."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import lightning as L
import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import SGD, lr_scheduler
from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingLR, CyclicLR, LinearLR, OneCycleLR, StepLR

from noisy_lightning import Digits, NoisyClassifier, checkpoint_file
from noisy_lightning.errors import InputError
from noisy_lightning.training.schedules import SequentialLR, ending, made, scheduler_of, set_length
from noisy_lightning.training.warmup_cosine import WarmupCosine
from tests.networks import Plain
from tests.reference.schedules import warmup_cosine

EPOCHS, STEPS = 6, 30


def _made(make: Callable[..., Any], optimizer: SGD, epochs: int = EPOCHS, steps: int = STEPS) -> tuple[Any, str]:
    return made(make, optimizer, epochs, lambda: steps, lambda: STEPS // EPOCHS)


def _with_two_rates(momentum: float = 0.0) -> SGD:
    groups: list[dict[str, Any]] = [{"params": [torch.zeros(1, requires_grad=True)]} for _ in range(2)]
    groups[1]["lr"] = 0.1
    return SGD(groups, lr=1.0, momentum=momentum)


def _rates(make: Callable[..., Any], count: int) -> list[float]:
    """Return the learning rates of so many epochs or steps."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, _ = _made(make, optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _interval(make: Callable[..., Any]) -> str:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    return _made(make, optimizer)[1]


def test_a_schedule_made_for_steps_steps_with_the_optimizer_and_others_by_epoch() -> None:
    assert _interval(partial(OneCycleLR, max_lr=1.0)) == "step"
    assert _interval(partial(CyclicLR, base_lr=0.1, max_lr=1.0)) == "step"
    assert _interval(WarmupCosine) == "step"
    assert _interval(partial(StepLR, step_size=1)) == "epoch"
    assert _interval(partial(SequentialLR, schedulers=[partial(OneCycleLR, max_lr=1.0, total_steps=STEPS)])) == "step"
    assert _interval(partial(SequentialLR, schedulers=[LinearLR])) == "epoch"
    assert _interval(partial(SequentialLR, schedulers=[LinearLR], interval="step")) == "step"


def test_one_cycle_spans_the_run_unless_it_is_said_how_long_it_is() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    cycle = partial(OneCycleLR, max_lr=1.0)
    assert _made(cycle, optimizer)[0].total_steps == STEPS
    assert _made(partial(cycle, total_steps=70), optimizer)[0].total_steps == 70


def test_a_cosine_of_no_length_spans_epochs_or_steps() -> None:
    cosine = partial(CosineAnnealingLR, T_max=0)
    assert _rates(cosine, EPOCHS + 1) == pytest.approx(_rates(partial(CosineAnnealingLR, T_max=EPOCHS), EPOCHS + 1))
    per_step = partial(SequentialLR, schedulers=[cosine], interval="step")
    assert _rates(per_step, STEPS + 1)[STEPS] == pytest.approx(0)
    assert _rates(per_step, STEPS)[EPOCHS] > 0.8


def test_a_cosine_of_no_length_lasts_from_the_warm_up_to_the_end() -> None:
    warm_up = partial(LinearLR, start_factor=0.5, total_iters=2)
    make = partial(SequentialLR, schedulers=[warm_up, partial(CosineAnnealingLR, T_max=0)], milestones=[2])
    half = 0.5 * (1 + 2**0.5 / 2)
    assert _rates(make, 7) == pytest.approx([0.5, 0.75, 1.0, half, 0.5, 1 - half, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(SequentialLR, schedulers=[]), "milestones must be 0 ascending numbers"),
        (partial(SequentialLR, schedulers=[LinearLR, LinearLR]), "milestones must be 1 ascending numbers above 0"),
        (partial(SequentialLR, schedulers=[LinearLR] * 3, milestones=[3, 2]), "must be 2 ascending"),
        (
            partial(SequentialLR, schedulers=[LinearLR, partial(CosineAnnealingLR, T_max=0)], milestones=[EPOCHS]),
            "the last schedule begins after 6, the run ends after 6",
        ),
        (partial(StepLR, step_size=0), "step_size must be at least 1"),
        (ChainedScheduler, "ChainedScheduler takes schedules that are made already: use SequentialLR"),
        (partial(OneCycleLR, max_lr=1.0, pct_start=2.0), "pct_start"),
        (partial(OneCycleLR, max_lr=1.0, total_steps=STEPS - 1), "over after 29 steps and has to last 30"),
        (
            partial(SequentialLR, schedulers=[LinearLR, partial(OneCycleLR, max_lr=1, total_steps=9)], milestones=[20]),
            "over after 9 steps and has to last 10",
        ),
        (partial(SequentialLR, schedulers=[WarmupCosine]), "WarmupCosine spans the run: name it as model.lr_scheduler"),
        (partial(WarmupCosine, warmup_epochs=-1), r"warmup_epochs must be in \[0, inf\), got -1"),
        (partial(WarmupCosine, warmup_epochs=float("nan")), "warmup_epochs must be in"),
        (partial(WarmupCosine, final_lr_factor=1.5), r"final_lr_factor must be in \[0, 1\], got 1.5"),
        (partial(WarmupCosine, warmup_epochs=6.2), "warmup_epochs: the warm-up lasts 31 steps, the run 30"),
        (partial(SequentialLR, schedulers=[partial(SequentialLR, schedulers=[LinearLR])]), "name all schedules in one"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(make: Callable[..., Any], message: str) -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    with pytest.raises(InputError, match=message):
        _made(make, optimizer)


@pytest.mark.parametrize(("warmup", "final"), [(0, 0.0), (1.0, 0.0), (0.5, 0.01), (2.3, 0.2)])
def test_a_warm_up_and_a_cosine_are_those_of_the_formula_at_every_step(warmup: float, final: float) -> None:
    make = partial(WarmupCosine, warmup_epochs=warmup, final_lr_factor=final)
    assert _rates(make, STEPS + 1) == pytest.approx(warmup_cosine(STEPS, round(warmup * 5), final), abs=1e-15)


def test_a_warm_up_may_be_all_of_a_run() -> None:
    assert _rates(partial(WarmupCosine, warmup_epochs=EPOCHS), STEPS + 1) == [step / 31 for step in range(1, 31)] + [1]


def test_a_warm_up_and_a_cosine_govern_the_rates_of_all_groups() -> None:
    optimizer = _with_two_rates()
    scheduler, _ = _made(WarmupCosine, optimizer)
    for _ in range(STEPS):
        slow, fast = optimizer.param_groups[1]["lr"], optimizer.param_groups[0]["lr"]
        assert slow == pytest.approx(0.1 * fast)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("done", [1, 4, 5, 12])
def test_a_warm_up_and_a_cosine_of_another_length_have_the_rates_of_their_own(done: int) -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    short, _ = _made(WarmupCosine, optimizer, steps=12)
    end = ending(_made(WarmupCosine, SGD([torch.zeros(1, requires_grad=True)], lr=1.0))[0])
    assert end is not None
    for _ in range(done):
        optimizer.step()
        short.step()
    set_length(short, end[1])
    found = []
    for _ in range(STEPS - done):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        short.step()
    assert found == pytest.approx(warmup_cosine(STEPS, 5, 0.0)[done:-1], abs=1e-15)


@pytest.mark.parametrize(
    ("options", "total", "warmup"),
    [
        ({"max_epochs": 3}, 18, 6),
        ({"max_epochs": 3, "accumulate_grad_batches": 4}, 6, 2),
        ({"max_epochs": 3, "max_steps": 8}, 8, 6),
        ({"max_epochs": -1, "max_steps": 9}, 9, 6),
    ],
    ids=["epochs", "accumulated", "steps", "steps alone"],
)
def test_a_warm_up_counts_the_steps_of_the_optimizer(options: dict[str, Any], total: int, warmup: int) -> None:
    class Rates(L.Callback):
        def __init__(self) -> None:
            self.seen: list[float] = []

        def on_before_optimizer_step(self, trainer: L.Trainer, *_: Any) -> None:
            self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    data = Digits(batch_size=256)  # 6 batches an epoch
    model = NoisyClassifier.for_data(data, Plain, optimizer=partial(SGD, lr=1e-3), lr_scheduler=WarmupCosine)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu", devices=1, callbacks=[rates := Rates()], enable_checkpointing=False, **options, **quiet
    )
    trainer.fit(model, datamodule=data)
    assert rates.seen == pytest.approx([1e-3 * rate for rate in warmup_cosine(total, warmup, 0.0)[:-1]])


@pytest.mark.parametrize("make", [partial(OneCycleLR, max_lr=1.0), partial(CyclicLR, base_lr=0.1, max_lr=1.0)])
def test_a_schedule_that_gives_all_weights_one_rate_is_refused_where_they_have_several(make: Any) -> None:
    with pytest.raises(InputError, match=r"LR gives all weights one learning rate, whatever model\.body_lr_factor"):
        _made(make, _with_two_rates(0.9))
    assert _made(partial(make, max_lr=[1.0, 0.1]), _with_two_rates(0.9))[1] == "step"


def test_a_run_without_an_end_cannot_be_spanned() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(InputError, match=r"set trainer\.max_epochs"):
        _made(partial(CosineAnnealingLR, T_max=0), optimizer, epochs=-1)
    trainer = Mock(max_epochs=-1, estimated_stepping_batches=float("inf"))
    for make in (partial(OneCycleLR, max_lr=1.0, cycle_momentum=False), WarmupCosine):
        with pytest.raises(InputError, match=r"set trainer\.max_epochs"):
            scheduler_of(make, optimizer, trainer)


def _schedules_of_torch() -> set[str]:
    """Return the names of all schedules of torch, but those of which none can begin."""
    without = ("LRScheduler", "SequentialLR", "ChainedScheduler")  # the base class, and those of made schedules
    return {name for name, one in vars(lr_scheduler).items() if inspect.isclass(one) and _is_schedule(one)} - {*without}


def _is_schedule(one: type) -> bool:
    return issubclass(one, lr_scheduler.LRScheduler) and not one.__name__.startswith("_")


class Halving:
    """A function of the epoch that counts its calls, which a checkpoint keeps."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, epoch: int) -> float:
        self.calls += 1
        return 0.5 ** min(epoch, self.calls)


SCHEDULES: dict[str, Callable[..., Any]] = {
    "LambdaLR": partial(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.9**epoch),
    "MultiplicativeLR": lambda optimizer: lr_scheduler.MultiplicativeLR(optimizer, Halving()),
    "StepLR": partial(StepLR, step_size=2),
    "MultiStepLR": partial(lr_scheduler.MultiStepLR, milestones=[2, 3, 3, 5]),
    "ConstantLR": partial(lr_scheduler.ConstantLR, total_iters=4),
    "LinearLR": partial(LinearLR, total_iters=4),
    "ExponentialLR": partial(lr_scheduler.ExponentialLR, gamma=0.9),
    "PolynomialLR": partial(lr_scheduler.PolynomialLR, total_iters=EPOCHS),
    "CosineAnnealingLR": partial(CosineAnnealingLR, T_max=0),
    "CosineAnnealingWarmRestarts": partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2, T_mult=2),
    "CyclicLR": partial(CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=2, mode="exp_range", gamma=0.9),
    "OneCycleLR": partial(OneCycleLR, max_lr=1.0),
    "ReduceLROnPlateau": partial(ReduceLROnPlateau, monitor="val/loss", patience=0, cooldown=1),
}


OURS: dict[str, Callable[..., Any]] = {"WarmupCosine": partial(WarmupCosine, warmup_epochs=0.6)}


def _after_a_warm_up(make: Callable[..., Any]) -> Callable[..., Any]:
    schedulers: list[Any] = [partial(LinearLR, total_iters=3), make]
    return partial(SequentialLR, schedulers=schedulers, milestones=[3], interval="step")


LAST = SCHEDULES | {"OneCycleLR": partial(SCHEDULES["OneCycleLR"], total_steps=STEPS)}
LAST.pop("ReduceLROnPlateau")  # which torch refuses in a sequence
SEQUENCES = {f"{name} after a warm-up": _after_a_warm_up(make) for name, make in LAST.items()}


def test_each_schedule_of_torch_is_tried() -> None:
    assert set(SCHEDULES) == _schedules_of_torch()


@pytest.mark.parametrize("done", [1, 2, 3, 5])  # within the warm-up of a sequence, at its end and after it
@pytest.mark.parametrize("name", [*SCHEDULES, *OURS, *SEQUENCES])
def test_a_schedule_goes_on_from_a_checkpoint_as_if_nothing_had_happened(name: str, done: int, tmp_path: Path) -> None:
    make = (SCHEDULES | OURS | SEQUENCES)[name]

    def new() -> tuple[SGD, Any]:
        optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        return optimizer, _made(make, optimizer)[0]

    def rates(optimizer: SGD, scheduler: Any, count: int) -> list[tuple[float, float]]:
        found = []
        for _ in range(count):
            optimizer.step()
            scheduler.step(*[1.0] * isinstance(scheduler, ReduceLROnPlateau))
            found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        return found

    whole = rates(*new(), 10)
    optimizer, scheduler = new()
    assert rates(optimizer, scheduler, done) == whole[:done]
    content = {"state_dict": {}, "epoch": 0, "states": [optimizer.state_dict(), scheduler.state_dict()]}
    checkpoint_file.write(content, tmp_path / "last.ckpt")
    states = checkpoint_file.read(tmp_path / "last.ckpt")["states"]
    optimizer, scheduler = new()
    end = ending(scheduler)
    optimizer.load_state_dict(states[0])
    scheduler.load_state_dict(states[1])
    if end is not None:
        set_length(*end)
    assert rates(optimizer, scheduler, 10 - done) == whole[done:]
    assert len({rate for rate, _ in whole}) > 1


@pytest.mark.parametrize("done", [1, 5, 12])
def test_one_cycle_of_another_length_has_the_rates_of_its_own(done: int) -> None:
    optimizers = [SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9) for _ in range(2)]
    cycle = partial(OneCycleLR, max_lr=1.0)
    short, long = _made(cycle, optimizers[0], steps=12)[0], _made(cycle, optimizers[1])[0]
    end = ending(long)
    assert end is not None
    for _ in range(done):
        for optimizer, scheduler in zip(optimizers, (short, long), strict=True):
            optimizer.step()
            scheduler.step()
    assert optimizers[0].param_groups[0]["lr"] != optimizers[1].param_groups[0]["lr"]
    set_length(short, end[1])
    for _ in range(STEPS - done):
        for name in ("lr", "momentum"):
            assert optimizers[0].param_groups[0][name] == optimizers[1].param_groups[0][name]
        for optimizer, scheduler in zip(optimizers, (short, long), strict=True):
            optimizer.step()
            scheduler.step()


def test_a_schedule_per_step_moves_within_an_epoch() -> None:
    class Rates(L.Callback):
        seen: list[float] = []  # noqa: RUF012

        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    data = Digits(batch_size=256)
    model = NoisyClassifier.for_data(data, Plain, lr_scheduler=partial(OneCycleLR, max_lr=0.1))
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", devices=1, callbacks=[Rates()], enable_checkpointing=False, **quiet
    )
    trainer.fit(model, datamodule=data)
    assert len(set(Rates.seen)) == len(Rates.seen) == trainer.global_step == 2 * len(data.train_dataloader())
    assert Rates.seen[-1] < 0.01 < max(Rates.seen)
