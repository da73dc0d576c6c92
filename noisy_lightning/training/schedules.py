"""Schedules of the learning rate: those one after another, and how often one steps."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, final

import lightning as L
from lightning.pytorch.cli import LRSchedulerCallable, ReduceLROnPlateau
from lightning.pytorch.utilities.types import LRSchedulerConfigType
from torch import Tensor
from torch.optim import Optimizer
from torch.optim import lr_scheduler as schedulers_of_torch
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, LRScheduler, OneCycleLR

from noisy_lightning import compat
from noisy_lightning.errors import InputError
from noisy_lightning.training.warmup_cosine import WarmupCosine

Interval = Literal["epoch", "step"]
_OF_CONFIGURATION = ("parts", "starts", "interval")
"""What a SequentialLR of ours keeps beside the state of torch's."""

_OF_MADE_SCHEDULES = (schedulers_of_torch.SequentialLR, schedulers_of_torch.ChainedScheduler)


@final
class SequentialLR(schedulers_of_torch.SequentialLR):
    """Schedules one after another, such as a warm-up and what follows it; or one that is to step with the optimizer.

    Args:
        optimizer: Whose learning rates they set.
        schedulers: Classes of schedules, in their order, each called with the optimizer. CosineAnnealingLR with T_max 0
            lasts until the next one begins, or the run ends.
        milestones: After how many epochs, or steps, the second and each further one begins: ascending, one number fewer
            than schedulers.
        interval: Whether they step once per `epoch` or with every `step` of the optimizer; None: per step if one of
            them is made for that (OneCycleLR, CyclicLR), else per epoch.

    Raises:
        InputError: There are no schedules, not as many milestones as there must be, or a sequence among the schedules.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: list[LRSchedulerCallable],
        milestones: list[int] | None = None,
        interval: Interval | None = None,
    ) -> None:
        self.starts = [0, *(milestones or [])]
        if not schedulers or len(self.starts) != len(schedulers) or sorted(set(self.starts)) != self.starts:
            raise InputError(
                f"model.lr_scheduler.milestones must be {max(0, len(schedulers) - 1)} ascending numbers above 0 for "
                f"{len(schedulers)} schedulers, got {milestones or []}"
            )
        self.parts: list[Any] = [make(optimizer) for make in schedulers]
        if any(isinstance(part, WarmupCosine) for part in self.parts):
            raise InputError("model.lr_scheduler.schedulers: WarmupCosine spans the run: name it as model.lr_scheduler")
        if any(isinstance(part, schedulers_of_torch.SequentialLR) for part in self.parts):  # which torch cannot begin
            raise InputError("model.lr_scheduler.schedulers: a SequentialLR in another one: name all schedules in one")
        self.interval = interval or ("step" if any(isinstance(part, _PER_STEP) for part in self.parts) else "epoch")
        super().__init__(optimizer, self.parts, self.starts[1:])

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the schedules, not the objects: a checkpoint holds plain data."""
        return {name: value for name, value in super().state_dict().items() if name not in _OF_CONFIGURATION}


Ending = tuple[CosineAnnealingLR | OneCycleLR | WarmupCosine, Mapping[str, Any]]
"""The schedule that a run ends with, and what it keeps of its length."""
_PER_STEP = (OneCycleLR, CyclicLR, WarmupCosine)
"""Those that are made to step with the optimizer; all others step once per epoch."""


def made(
    make: LRSchedulerCallable,
    optimizer: Optimizer,
    epochs: int,
    steps: Callable[[], float],
    epoch_steps: Callable[[], float],
) -> tuple[Any, Interval]:
    """Return a schedule, which spans the run where it is not said how long it is, and how often it steps.

    Args:
        make: Called with the optimizer.
        optimizer: Whose learning rates it sets.
        epochs: Of the run; -1 where it has no end.
        steps: Returns the steps of the optimizer in it; infinity where it has no end.
        epoch_steps: Returns those in an epoch; called after `steps`.

    Raises:
        InputError: The schedule refuses a value, is over before the run, or should span a run without an end.
    """
    kind = compat.class_of(make) if isinstance(make, partial) else make
    given = make.keywords if isinstance(make, partial) else {}
    rates = {group["lr"] for group in optimizer.param_groups}
    if kind in _OF_MADE_SCHEDULES:
        raise InputError(f"model.lr_scheduler: {kind.__name__} takes schedules that are made already: use SequentialLR")
    spans = kind is OneCycleLR and given.get("total_steps") is None and given.get("epochs") is None
    try:
        scheduler: Any = make(optimizer, total_steps=_length(steps())) if spans else make(optimizer)  # type: ignore[call-arg]  # OneCycleLR takes it
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise error if isinstance(error, InputError) else InputError(f"model.lr_scheduler: {error}") from error
    if getattr(scheduler, "step_size", 1) == 0:
        raise InputError("model.lr_scheduler.step_size must be at least 1, got 0")
    if isinstance(scheduler, WarmupCosine):
        total = _length(steps())
        scheduler.span(total, epoch_steps())
    per_step = isinstance(scheduler, _PER_STEP) or getattr(scheduler, "interval", None) == "step"

    def end() -> int:
        return _length(steps() if per_step else epochs)

    parts = [(scheduler, 0)]
    if isinstance(scheduler, SequentialLR):
        parts = list(zip(scheduler.parts, scheduler.starts, strict=True))
    _fill(parts, end)
    cycle = next((part for part, _ in parts if isinstance(part, OneCycleLR | CyclicLR)), None)
    if cycle is not None and len(rates) > 1 == len(_highest(cycle)):
        raise InputError(
            f"model.lr_scheduler: {type(cycle).__name__} gives all weights one learning rate, whatever "
            "model.body_lr_factor and model.layer_decay say: use WarmupCosine, or a list as max_lr"
        )
    return scheduler, "step" if per_step else "epoch"


def scheduler_of(make: LRSchedulerCallable, optimizer: Optimizer, trainer: L.Trainer) -> LRSchedulerConfigType:
    """Return a schedule for a run, as Lightning wants it.

    Args:
        make: Called with the optimizer.
        optimizer: Whose learning rates it sets.
        trainer: Of the run.

    Raises:
        InputError: The schedule refuses a value, is over before the run, or should span a run without an end.
    """
    steps, epoch_steps = (lambda: compat.steps_of(trainer)), (lambda: _steps_of_epoch(trainer))
    scheduler, interval = made(make, optimizer, trainer.max_epochs or 0, steps, epoch_steps)
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "monitor": scheduler.monitor}
    return {"scheduler": scheduler, "interval": interval}


def ending(scheduler: Any) -> Ending | None:
    """Return the schedule that a run ends with, and what it keeps of its length, if it is one that can span the run.

    Args:
        scheduler: New, before a checkpoint gives it another state.
    """
    last = scheduler.parts[-1] if isinstance(scheduler, SequentialLR) else scheduler
    kinds = CosineAnnealingLR | OneCycleLR | WarmupCosine
    return (last, compat.span_of(last)) if isinstance(last, kinds) else None


def set_length(scheduler: CosineAnnealingLR | OneCycleLR | WarmupCosine, span: Mapping[str, Any]) -> None:
    """Have a schedule be as long as its configuration says: its learning rates are those of that length from the start.

    Args:
        scheduler: New, or with the state of a run that may have been of another length.
        span: What it keeps of its length, as its configuration says.
    """
    if compat.span_of(scheduler) == span:  # the rates of a run that goes on are its own, to the last bit
        return
    scheduler.load_state_dict(dict(span))
    done = scheduler.last_epoch
    if done < 0:  # its turn has not come yet
        return
    if isinstance(scheduler, WarmupCosine):
        scheduler.set_rates()
        return
    if isinstance(scheduler, OneCycleLR):
        scheduler.last_epoch = done - 1
        scheduler.step()  # by which it computes the rates of where it stands, and nothing else
        return
    for group, base in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True):
        share = (1 + math.cos(math.pi * done / scheduler.T_max)) / 2
        group["lr"] = scheduler.eta_min + (base - scheduler.eta_min) * share


def go_on(trainer: L.Trainer, ending: Ending | None) -> None:
    """Have the schedules of a run go on as its configuration says, wherever its checkpoint comes from.

    Args:
        trainer: With the state of the checkpoint.
        ending: What `ending` returned before.

    Raises:
        InputError: It would be over before the run, since the checkpoint is of more steps per epoch.
    """
    if ending is not None:
        scheduler, span = ending
        if isinstance(scheduler, OneCycleLR | WarmupCosine) and trainer.lr_scheduler_configs[0].interval == "step":
            done, has = scheduler.last_epoch, span["total_steps"]
            if done + _steps_left(trainer) > has:
                cycle = isinstance(scheduler, OneCycleLR)
                raise InputError(
                    f"model.lr_scheduler: {type(scheduler).__name__} is over after {has} steps and has to last "
                    f"{done + _steps_left(trainer)}, of which the checkpoint has {done}: "
                    f"{'set its total_steps' if cycle else 'take the batch size of the checkpoint'}"
                )
        set_length(scheduler, span)
    for config in trainer.lr_scheduler_configs:
        if isinstance(config.scheduler, ReduceLROnPlateau):
            catch_up(config.scheduler, trainer.current_epoch, trainer.callback_metrics)


def catch_up(scheduler: ReduceLROnPlateau, epochs: int, values: Mapping[str, Tensor]) -> None:
    """Have a scheduler see the value of an epoch that it would have seen after the checkpoint.

    Args:
        scheduler: As the checkpoint has it.
        epochs: That have ended.
        values: What the last of them logged.
    """
    if scheduler.last_epoch < epochs and scheduler.monitor in values:
        scheduler.step(values[scheduler.monitor])


def _highest(cycle: OneCycleLR | CyclicLR) -> set[float]:
    """Return the different learning rates that a cycle rises to."""
    if isinstance(cycle, CyclicLR):
        return set(cycle.max_lrs)
    return {group["max_lr"] for group in cycle.optimizer.param_groups}


def _fill(parts: Sequence[tuple[LRScheduler, int]], end: Callable[[], int]) -> None:
    """Have schedules of no length last until the next one begins, or the run ends.

    Raises:
        InputError: One would have no time at all, or one cycle is over before.
    """
    for number, (part, start) in enumerate(parts):
        if not (isinstance(part, OneCycleLR) or (isinstance(part, CosineAnnealingLR) and part.T_max == 0)):
            continue
        until = parts[number + 1][1] if number + 1 < len(parts) else end()
        if until <= start:
            raise InputError(
                f"model.lr_scheduler.milestones: the last schedule begins after {start}, the run ends after {until}"
            )
        if isinstance(part, CosineAnnealingLR):
            compat.span(part, until - start)
        elif part.total_steps < until - start:
            raise InputError(
                f"model.lr_scheduler: OneCycleLR is over after {part.total_steps} steps and has to last "
                f"{until - start}: set its total_steps"
            )


def _steps_left(trainer: L.Trainer) -> int:
    """Return how many steps of the optimizer are to come."""
    loop = trainer.fit_loop
    within = loop.epoch_loop.batch_idx + 1 if loop.restarted_mid_epoch else 0
    epochs = (trainer.max_epochs or 0) - trainer.current_epoch
    left = epochs * _steps_of_epoch(trainer) - within // trainer.accumulate_grad_batches
    return left if trainer.max_steps < 0 else min(left, trainer.max_steps - trainer.global_step)


def _steps_of_epoch(trainer: L.Trainer) -> int:
    """Return how many steps of the optimizer an epoch has, once the trainer has its batches."""
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def _length(count: float) -> int:
    """Return how long a run is.

    Raises:
        InputError: It has no end.
    """
    if not 0 < count < float("inf"):
        raise InputError("model.lr_scheduler: a run without an end cannot be spanned: set trainer.max_epochs")
    return int(count)
