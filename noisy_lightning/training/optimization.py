"""How the weights of a method are optimized: groups, optimizer, schedule, frozen bodies."""

from collections.abc import Iterable, Sequence
from typing import Any, final

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

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


def optimizer_of(make: OptimizerCallable, weights: Sequence[Tensor], bodies: Bodies) -> torch.optim.Optimizer:
    """Return the optimizer of some weights.

    Args:
        make: Called with groups of weights.
        weights: All that are optimized.
        bodies: Which of them learn at a rate of their own.

    Raises:
        InputError: The optimizer refuses a value.
    """
    try:
        optimizer = make(bodies.groups(weights))
    except (ValueError, TypeError) as error:
        raise InputError(f"model.optimizer: {error}") from error
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise InputError("model.optimizer: SparseAdam takes sparse gradients, which no network here has: use Adam")
    for group in optimizer.param_groups[1:]:
        group["lr"] *= bodies.lr_factor
    if weights[0].device.type in ("cpu", "cuda"):
        compat.fuse(optimizer)
    return optimizer


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
