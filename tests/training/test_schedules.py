"""Schedules of the learning rate: how long they are, how often they step, and one after another."""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning as L
import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import ChainedScheduler, CosineAnnealingLR, CyclicLR, LinearLR, OneCycleLR, StepLR

from noisy_lightning import Digits, NoisyClassifier
from noisy_lightning.errors import InputError
from noisy_lightning.training.schedules import SequentialLR, made
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
    assert _interval(partial(SequentialLR, schedulers=[partial(OneCycleLR, max_lr=1.0, total_steps=5)])) == "step"
    assert _interval(partial(SequentialLR, schedulers=[LinearLR])) == "epoch"
    assert _interval(partial(SequentialLR, schedulers=[LinearLR], interval="step")) == "step"


def test_one_cycle_spans_the_run_unless_it_is_said_how_long_it_is() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
    cycle = partial(OneCycleLR, max_lr=1.0)
    assert made(cycle, optimizer, EPOCHS, lambda: STEPS)[0].total_steps == STEPS
    assert made(partial(cycle, total_steps=7), optimizer, EPOCHS, lambda: STEPS)[0].total_steps == 7


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
