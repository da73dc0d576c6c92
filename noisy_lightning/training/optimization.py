"""How the weights of a method are optimized: groups, optimizer, schedule, frozen bodies."""

from collections.abc import Iterable, Sequence
from typing import final

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from noisy_lightning import compat
from noisy_lightning.backbones.classifier import Body
from noisy_lightning.backbones.depth import depths
from noisy_lightning.errors import InputError


@final
class Bodies:
    """The bodies of a method's networks: frozen for some epochs, then learning at rates of their own.

    Args:
        networks: Those that a method has made; not averages of them.
        freeze_epochs: Epochs, >= 0, in which the bodies stay as they are.
        lr_factor: Their learning rate, > 0, as a factor of the optimizer's.
        layer_decay: By what the learning rate is multiplied, in (0, 1], for each block that weights lie below the
            classifier, as `depths` counts them.

    Raises:
        InputError: A value is out of its range.
    """

    def __init__(self, networks: Sequence[nn.Module], freeze_epochs: int, lr_factor: float, layer_decay: float) -> None:
        if not freeze_epochs >= 0:
            raise InputError(f"model.freeze_body_epochs must be at least 0, got {freeze_epochs}")
        if not lr_factor > 0:
            raise InputError(
                f"model.body_lr_factor must be above 0, got {lr_factor} (model.freeze_body_epochs keeps the body fixed)"
            )
        if not 0 < layer_decay <= 1:
            raise InputError(f"model.layer_decay must be in (0, 1], got {layer_decay}")
        self.freeze_epochs, self.lr_factor, self.layer_decay = freeze_epochs, lr_factor, layer_decay
        self._networks = networks
        self._bodies = [body for network in networks if (body := Body(network)).parameters]

    def start(self, epoch: int) -> None:
        """Freeze them where a training run starts, or goes on, in an epoch in which they are frozen."""
        if epoch < self.freeze_epochs:
            for body in self._bodies:
                body.freeze()

    def begin(self, epoch: int) -> None:
        """Thaw them when an epoch begins in which it is time."""
        if 0 < self.freeze_epochs == epoch:
            for body in self._bodies:
                body.thaw()

    def check(self, strategy: object) -> None:
        """Refuse to freeze where DistributedDataParallel would wait for gradients that never come.

        Raises:
            InputError: It would.
        """
        if self.freeze_epochs and compat.waits_for_all_gradients(strategy):
            raise InputError("model.freeze_body_epochs needs --trainer.strategy ddp_find_unused_parameters_true here")

    def groups(self, weights: Iterable[Tensor]) -> list[tuple[list[Tensor], float]]:
        """Return weights in groups that learn at one rate each, with its factor: the classifiers' first, then down."""
        bodies = {weight for body in self._bodies for weight in body.parameters} if self.lr_factor != 1 else set()
        depth = {weight: of for network in self._networks for weight, of in depths(network).items()}
        found: dict[tuple[int, bool], list[Tensor]] = {}
        for weight in weights:
            place = (depth.get(weight, 0) if self.layer_decay != 1 else 0, weight in bodies)  # type: ignore[call-overload]
            found.setdefault(place, []).append(weight)
        return [
            (found[below, slow], self.layer_decay**below * (self.lr_factor if slow else 1))
            for below, slow in sorted(found)
        ]


def optimizer_of(make: OptimizerCallable, weights: Sequence[Tensor], bodies: Bodies) -> torch.optim.Optimizer:
    """Return the optimizer of some weights.

    Args:
        make: Called with groups of weights.
        weights: All that are optimized.
        bodies: Which of them learn at rates of their own.

    Raises:
        InputError: The optimizer refuses a value.
    """
    groups = bodies.groups(weights)
    try:
        optimizer = make([{"params": own} for own, _ in groups])
    except (ValueError, TypeError) as error:
        raise InputError(f"model.optimizer: {error}") from error
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise InputError("model.optimizer: SparseAdam takes sparse gradients, which no network here has: use Adam")
    for group, (_, factor) in zip(optimizer.param_groups, groups, strict=True):
        group["lr"] *= factor
    # Torch's fused SGD with momentum fails where some weights of a group have no gradient before others have had one.
    mixed = isinstance(optimizer, torch.optim.SGD) and bodies.freeze_epochs > 0 and bodies.lr_factor == 1
    if weights[0].device.type in ("cpu", "cuda") and not mixed:
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
