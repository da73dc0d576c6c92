"""A step that is taken twice and leaves one trace: what a rule for the gradient does between backward and optimizer."""

from collections.abc import Callable
from typing import Any, final

import lightning as L
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from noisy_lightning.errors import InputError
from noisy_lightning.methods import Method
from noisy_lightning.regularizers import GradientRule


def check_rule(rule: GradientRule, trainer: L.Trainer) -> None:
    """Refuse how a run is set up where a rule could not see the gradient of a whole step.

    Args:
        rule: That of the run.
        trainer: Of the run.

    Raises:
        InputError: It could not.
    """
    name, strategy = type(rule).__name__, trainer.strategy
    if not isinstance(strategy, SingleDeviceStrategy | DDPStrategy):
        raise InputError(
            f"model.gradient: {name} needs whole gradients, which {type(strategy).__name__} divides among devices: "
            "choose --trainer.strategy ddp"
        )
    schedules = any(isinstance(callback, GradientAccumulationScheduler) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    if rule.second_pass and (trainer.accumulate_grad_batches != 1 or schedules):
        raise InputError(
            f"model.gradient: {name} takes a second pass over each batch, and does not go with "
            "trainer.accumulate_grad_batches: leave it 1"
        )


@final
class Trace:
    """What a step leaves behind besides gradients: buffers, lists of what is to follow, random numbers drawn.

    Weights that need no gradient count as buffers: a method may have some that it teaches by itself.

    Args:
        method: As it is now.
    """

    def __init__(self, method: Method) -> None:
        own = [weight for weight in method.parameters() if not weight.requires_grad]
        self._buffers = [(buffer, buffer.clone()) for buffer in (*method.buffers(), *own)]
        self._lists = [
            (value, list(value)) for part in method.modules() for value in vars(part).values() if type(value) is list
        ]
        self._random = torch.get_rng_state()
        device = next(method.parameters()).device
        self._device = device if device.type == "cuda" else None
        self._random_of_device = None if self._device is None else torch.cuda.get_rng_state(self._device)

    @torch.no_grad()
    def restore(self) -> None:
        """Bring all of it back, in place."""
        for buffer, value in self._buffers:
            buffer.copy_(value)
        for kept, items in self._lists:
            kept[:] = items
        torch.set_rng_state(self._random)
        if self._device is not None and self._random_of_device is not None:
            torch.cuda.set_rng_state(self._random_of_device, self._device)


def ruled(rule: GradientRule, method: Method, step: Callable[[], Any], again: Callable[[], Any]) -> Callable[[], Any]:
    """Return a closure for the optimizer that takes a step's gradient and has a rule change it.

    Args:
        rule: The rule.
        method: Whose step it is.
        step: Takes the gradient.
        again: Takes it once more, and records nothing.
    """

    def closure() -> Any:
        before = Trace(method) if rule.second_pass else None
        result = step()
        after = Trace(method) if rule.second_pass else None

        def take_again() -> None:
            assert before is not None
            assert after is not None
            before.restore()
            with torch.enable_grad():
                again()
            after.restore()

        rule.apply(take_again)
        return result

    return closure
