"""Keeps what does nothing in a step from costing time in every step."""

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar, final

import lightning as L
from lightning.pytorch.profilers import PassThroughProfiler

from noisy_lightning import compat

CallbackClass = TypeVar("CallbackClass", bound=type[L.Callback])

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)


def without_idle_step_hooks(callback: CallbackClass) -> CallbackClass:
    """Take from a callback class the hooks of a step that it does not define itself."""
    for hook in STEP_HOOKS:
        if hook not in vars(callback):
            compat.skip_hook(callback, hook)
    return callback


@final
class NoProfiler(PassThroughProfiler):
    """Measures nothing, and unlike Lightning's own does not set up 25 contexts per step to do so."""

    _nothing = nullcontext()

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing."""
        return self._nothing
