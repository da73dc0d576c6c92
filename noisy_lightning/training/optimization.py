"""How the weights of a method are optimized: groups, optimizer, schedule, frozen bodies."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from torch import Tensor, nn

from noisy_lightning import compat
from noisy_lightning.backbones.classifier import Body
from noisy_lightning.errors import InputError
from noisy_lightning.training.schedules import made


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
    epochs: int,
    steps: Callable[[], int],
) -> dict[str, Any]:
    """Return the optimizer of some weights and its scheduler, as Lightning wants them.

    Args:
        make_optimizer: Called with groups of weights.
        make_scheduler: Called with the optimizer; None: the learning rate stays.
        weights: All that are optimized.
        bodies: Which of them learn at a rate of their own.
        epochs: Of the whole training, which CosineAnnealingLR with T_max 0 spans.
        steps: Returns the steps of the optimizer in it, which OneCycleLR spans.

    Raises:
        InputError: The optimizer or the scheduler refuses a value.
    """
    try:
        optimizer = make_optimizer(bodies.groups(weights))
    except (ValueError, TypeError) as error:
        raise InputError(f"model.optimizer: {error}") from error
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise InputError("model.optimizer: SparseAdam takes sparse gradients, which no network here has: use Adam")
    for group in optimizer.param_groups[1:]:
        group["lr"] *= bodies.lr_factor
    if weights[0].device.type in ("cpu", "cuda"):
        compat.fuse(optimizer)
    if make_scheduler is None:
        return {"optimizer": optimizer}
    scheduler, interval = made(make_scheduler, optimizer, epochs, steps)
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": scheduler.monitor}}
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": interval}}


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
