"""A schedule of the learning rate that spans a run: a warm-up, then a cosine."""

import math
from typing import final

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from noisy_lightning.errors import InputError


@final
class WarmupCosine(LRScheduler):
    """A linear warm-up, then half a cosine down to the end of the run; it steps with the optimizer.

    Of T steps, W are the warm-up. The learning rate of step t, counted from 0, is that of the optimizer times
    (t + 1) / (W + 1) for t < W, and f + (1 − f)·(1 + cos(π·(t − W) / (T − W))) / 2 from there. It spans the run,
    however long that is: a run that goes on from a checkpoint with another number of epochs has from there the rates of
    its own length.

    Args:
        optimizer: Whose learning rates it sets.
        warmup_epochs: W in epochs, >= 0, also a part of one; rounded to whole steps.
        final_lr_factor: f in [0, 1], the learning rate that the cosine ends at as a factor of the optimizer's.

    Raises:
        InputError: A value is out of its range.
    """

    def __init__(self, optimizer: Optimizer, warmup_epochs: float = 1.0, final_lr_factor: float = 0.0) -> None:
        if not 0 <= warmup_epochs < math.inf:
            raise InputError(f"model.lr_scheduler.warmup_epochs must be in [0, inf), got {warmup_epochs}")
        if not 0 <= final_lr_factor <= 1:
            raise InputError(f"model.lr_scheduler.final_lr_factor must be in [0, 1], got {final_lr_factor}")
        self.warmup_epochs, self.final_lr_factor = warmup_epochs, final_lr_factor
        self.warmup_steps, self.total_steps = 0, 0
        super().__init__(optimizer)

    def span(self, total_steps: int, epoch_steps: float) -> None:
        """Last as long as a run.

        Args:
            total_steps: T, of the optimizer.
            epoch_steps: Those of an epoch.

        Raises:
            InputError: The run is over before the warm-up is.
        """
        self.warmup_steps, self.total_steps = round(self.warmup_epochs * epoch_steps), total_steps
        if self.warmup_steps > total_steps:
            raise InputError(
                f"model.lr_scheduler.warmup_epochs: the warm-up lasts {self.warmup_steps} steps, the run {total_steps}"
            )
        self.set_rates()

    def set_rates(self) -> None:
        """Give the optimizer the rates of where the schedule stands."""
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each group of weights, in closed form."""
        return [base * self._factor(self.last_epoch) for base in self.base_lrs]

    def _factor(self, step: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        return self.final_lr_factor + (1 - self.final_lr_factor) * (1 + math.cos(math.pi * min(1.0, done))) / 2
