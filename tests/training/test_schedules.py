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
from tests.networks import Plain

EPOCHS, STEPS = 6, 30


def _rates(make: Callable[..., Any], count: int) -> list[float]:
    """Return the learning rates of so many epochs or steps."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler, _ = made(make, optimizer, EPOCHS, lambda: STEPS)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _interval(make: Callable[..., Any]) -> str:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    return made(make, optimizer, EPOCHS, lambda: STEPS)[1]


def test_a_schedule_made_for_steps_steps_with_the_optimizer_and_others_by_epoch() -> None:
    assert _interval(partial(OneCycleLR, max_lr=1.0)) == "step"
    assert _interval(partial(CyclicLR, base_lr=0.1, max_lr=1.0)) == "step"
    assert _interval(partial(StepLR, step_size=1)) == "epoch"
    assert _interval(partial(SequentialLR, schedulers=[partial(OneCycleLR, max_lr=1.0, total_steps=STEPS)])) == "step"
    assert _interval(partial(SequentialLR, schedulers=[LinearLR])) == "epoch"
    assert _interval(partial(SequentialLR, schedulers=[LinearLR], interval="step")) == "step"


def test_one_cycle_spans_the_run_unless_it_is_said_how_long_it_is() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    cycle = partial(OneCycleLR, max_lr=1.0)
    assert made(cycle, optimizer, EPOCHS, lambda: STEPS)[0].total_steps == STEPS
    assert made(partial(cycle, total_steps=70), optimizer, EPOCHS, lambda: STEPS)[0].total_steps == 70


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
        (partial(SequentialLR, schedulers=[partial(SequentialLR, schedulers=[LinearLR])]), "name all schedules in one"),
    ],
)
def test_a_schedule_that_cannot_work_is_refused(make: Callable[..., Any], message: str) -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    with pytest.raises(InputError, match=message):
        made(make, optimizer, EPOCHS, lambda: STEPS)


def test_a_run_without_an_end_cannot_be_spanned() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    with pytest.raises(InputError, match=r"set trainer\.max_epochs"):
        made(partial(CosineAnnealingLR, T_max=0), optimizer, -1, lambda: STEPS)
    trainer = Mock(max_epochs=-1, estimated_stepping_batches=float("inf"))
    with pytest.raises(InputError, match=r"set trainer\.max_epochs"):
        scheduler_of(partial(OneCycleLR, max_lr=1.0, cycle_momentum=False), optimizer, trainer)


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


def _after_a_warm_up(make: Callable[..., Any]) -> Callable[..., Any]:
    schedulers: list[Any] = [partial(LinearLR, total_iters=3), make]
    return partial(SequentialLR, schedulers=schedulers, milestones=[3], interval="step")


LAST = SCHEDULES | {"OneCycleLR": partial(SCHEDULES["OneCycleLR"], total_steps=STEPS)}
LAST.pop("ReduceLROnPlateau")  # which torch refuses in a sequence
SEQUENCES = {f"{name} after a warm-up": _after_a_warm_up(make) for name, make in LAST.items()}


def test_each_schedule_of_torch_is_tried() -> None:
    assert set(SCHEDULES) == _schedules_of_torch()


@pytest.mark.parametrize("done", [1, 2, 3, 5])  # within the warm-up of a sequence, at its end and after it
@pytest.mark.parametrize("name", [*SCHEDULES, *SEQUENCES])
def test_a_schedule_goes_on_from_a_checkpoint_as_if_nothing_had_happened(name: str, done: int, tmp_path: Path) -> None:
    make = (SCHEDULES | SEQUENCES)[name]

    def new() -> tuple[SGD, Any]:
        optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        return optimizer, made(make, optimizer, EPOCHS, lambda: STEPS)[0]

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
    short, long = made(cycle, optimizers[0], 1, lambda: 12)[0], made(cycle, optimizers[1], 1, lambda: STEPS)[0]
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
