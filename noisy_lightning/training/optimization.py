"""How the weights of a method are optimized: groups, optimizer, schedule, frozen bodies."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from noisy_lightning import compat
from noisy_lightning.backbones.classifier import Body
from noisy_lightning.errors import InputError


@final
class Bodies:
    """The bodies of a method's networks: frozen for some epochs, then learning at a rate of their own.

    Args:
        networks: Those that a method has made; not averages of them.
        frozen_epochs: Epochs, >= 0, in which the bodies stay as they are.
        lr_factor: Their learning rate, > 0, as a factor of the optimizer's.

    Raises:
        InputError: A value is out of its range.
    """

    def __init__(self, networks: Iterable[nn.Module], frozen_epochs: int, lr_factor: float) -> None:
        if not frozen_epochs >= 0:
            raise InputError(f"model.frozen_epochs must be at least 0, got {frozen_epochs}")
        if not lr_factor > 0:
            raise InputError(
                f"model.body_lr must be above 0, got {lr_factor} (model.frozen_epochs keeps the body fixed)"
            )
        self.frozen_epochs, self.lr_factor = frozen_epochs, lr_factor
        self._bodies = [body for network in networks if (body := Body(network)).parameters]

    def start(self, epoch: int) -> None:
        """Freeze them where a training run starts, or goes on, in an epoch in which they are frozen."""
        if epoch < self.frozen_epochs:
            for body in self._bodies:
                body.freeze()

    def begin(self, epoch: int) -> None:
        """Thaw them when an epoch begins in which it is time."""
        if 0 < self.frozen_epochs == epoch:
            for body in self._bodies:
                body.thaw()

    def check(self, strategy: object) -> None:
        """Refuse to freeze where DistributedDataParallel would wait for gradients that never come.

        Raises:
            InputError: It would.
        """
        if self.frozen_epochs and compat.waits_for_all_gradients(strategy):
            raise InputError("model.frozen_epochs needs --trainer.strategy ddp_find_unused_parameters_true here")

    def groups(self, weights: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Return all weights as one group, or the classifiers' before the bodies' where these learn at another rate."""
        if self.lr_factor == 1:
            return [{"params": weights}]
        bodies = {weight for body in self._bodies for weight in body.parameters}
        return [{"params": [weight for weight in weights if (weight in bodies) == slow]} for slow in (False, True)]


def optimizers(
    make_optimizer: OptimizerCallable,
    make_scheduler: LRSchedulerCallable | None,
    weights: Sequence[Tensor],
    bodies: Bodies,
) -> dict[str, Any]:
    """Return the optimizer of some weights and its scheduler, as Lightning wants them.

    Args:
        make_optimizer: Called with groups of weights.
        make_scheduler: Called with the optimizer; None: the learning rate stays.
        weights: All that are optimized.
        bodies: Which of them learn at a rate of their own.

    Raises:
        InputError: The optimizer refuses a value.
    """
    try:
        optimizer = make_optimizer(bodies.groups(weights))
    except ValueError as error:
        raise InputError(f"model.optimizer: {error}") from error
    for group in optimizer.param_groups[1:]:
        group["lr"] *= bodies.lr_factor
    if weights[0].device.type in ("cpu", "cuda"):
        compat.fuse(optimizer)
    if make_scheduler is None:
        return {"optimizer": optimizer}
    scheduler = make_scheduler(optimizer)
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": scheduler.monitor}}
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler}}


def span(scheduler: CosineAnnealingLR, epochs: int) -> None:
    """Have a cosine schedule span a whole run, wherever in it: its learning rates are those of that many epochs.

    Args:
        scheduler: New, or with the state of a run that may have been of another length.
        epochs: Of the run, >= 1.

    Raises:
        InputError: There is no such number.
    """
    if epochs < 1:
        raise InputError(f"model.lr_scheduler: T_max 0 spans trainer.max_epochs, which is {epochs}")
    if scheduler.T_max == epochs:  # the rates of a run that goes on are its own, to the last bit
        return
    done, begins = scheduler.last_epoch, scheduler.T_max == 0
    compat.span(scheduler, epochs)
    for group, base in zip(scheduler.optimizer.param_groups, () if begins else scheduler.base_lrs, strict=not begins):
        share = (1 + math.cos(math.pi * done / epochs)) / 2
        group["lr"] = scheduler.eta_min + (base - scheduler.eta_min) * share


def catch_up(scheduler: ReduceLROnPlateau, epochs: int, values: Mapping[str, Tensor]) -> None:
    """Have a scheduler see the value of an epoch that it would have seen after the checkpoint.

    Args:
        scheduler: As the checkpoint has it.
        epochs: That have ended.
        values: What the last of them logged.
    """
    if scheduler.last_epoch < epochs and scheduler.monitor in values:
        scheduler.step(values[scheduler.monitor])


@torch.no_grad()
def add_l1_gradient(weights: Iterable[Tensor], decay: float) -> None:
    """Add the gradient of δ·Σ|θ| to that of weights that have one.

    Args:
        weights: θ.
        decay: δ >= 0.
    """
    for weight in weights:
        if weight.grad is not None:
            weight.grad.add_(weight.sign(), alpha=decay)
