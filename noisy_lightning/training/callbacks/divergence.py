"""Whether loss and weights are still numbers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast, final

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.summary import divergence
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks

if TYPE_CHECKING:
    from noisy_lightning.training.module import NoisyClassifier

# Steps between looks at the losses, each of which waits for the device: a run stops that much late. What weights have
# come to the next loss shows, so that those are looked at only where an epoch ends or a checkpoint is saved.
_STEPS = 32
_STATISTICS = ("running_mean", "running_var")


@final
@without_idle_step_hooks
class Divergence(L.Callback):
    """Stops a run at its first loss or weight that is not finite, before anything of that is validated or saved.

    Each trainer of a `NoisyClassifier` has one: if none is given, one that stops. What was found is `diverged` in
    `result.json`: what is not finite (`loss` or `weights`), the epoch, counted from 0, the step, counted from 1 over
    the whole run, and the learning rate there. Weights are all parameters and the statistics of batch normalization;
    where they are the first, the step is the one after which they were looked at.

    Args:
        run: Whose result says so, if there is a folder.
        stop: Whether it stops; if not, it says so and goes on.

    Raises:
        InputError: In training, where it stops.

    Example:
        >>> import torch
        >>> from functools import partial
        >>> from noisy_lightning import Digits, NoisyClassifier, backbones
        >>> data = Digits(batch_size=256)
        >>> model = NoisyClassifier.for_data(data, backbones.SmallCNN, optimizer=partial(torch.optim.SGD, lr=1e30))
        >>> trainer = L.Trainer(max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False)
        >>> trainer.fit(model, datamodule=data)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        noisy_lightning.errors.InputError: the run has diverged: ...
    """

    def __init__(self, run: RunFolder | None = None, stop: bool = True) -> None:
        self.run, self.stop = run, stop
        self.found: dict[str, Any] | None = None
        self._waiting: list[tuple[Tensor, int, float]] = []
        self._last: tuple[Tensor, int, float] | None = None  # of the last step after which no weight was looked at

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin; what made an earlier process stop is found again, or not."""
        self._waiting, self._last = [], None
        self.found = None if self.stop else self.found
        if self.run and trainer.is_global_zero and "diverged" in self.run.read_result():
            self.run.update_result(lambda result: {key: result[key] for key in result if key != "diverged"})

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the step's loss; every now and then, look."""
        module = cast("NoisyClassifier", pl_module)
        assert module.last_step is not None
        self._last = module.last_step.loss.detach(), trainer.global_step, module.learning_rate
        self._waiting.append(self._last)
        if len(self._waiting) >= _STEPS:
            self._look(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look, before what is broken is validated."""
        self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look, before the epoch is closed."""
        self._look(trainer, pl_module)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look, before the last good checkpoint is replaced."""
        self._look(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return what was found, after which the run has gone on."""
        return {"found": self.found}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it."""
        self.found = state_dict["found"]

    def _look(self, trainer: L.Trainer, module: nn.Module | None = None) -> None:
        """Look at the losses that wait, and at the weights of a module as they are.

        Raises:
            InputError: One is not finite, and the run is to stop.
        """
        if self.found is not None or not self._last:
            return
        waiting = self._waiting or [self._last]
        losses, steps, rates = zip(*waiting, strict=True)
        self._waiting, self._last = [], waiting[-1] if module is None else None
        largest = [] if module is None else [get_total_norm(list(_weights(module)), torch.inf).to(losses[0].device)]
        broken = torch.stack([one.float() for one in (*losses, *largest)]).isfinite().logical_not().int()
        if trainer.world_size > 1:
            broken = trainer.strategy.reduce(broken, reduce_op="max")
        first = next((place for place, one in enumerate(broken.tolist()) if one), None)
        if first is None:
            return
        what, place = ("loss", first) if first < len(losses) else ("weights", len(losses) - 1)
        self.found = {"what": what, "epoch": trainer.current_epoch, "step": steps[place]}
        self.found["learning_rate"] = rates[place]
        said = f"{self.run.path if self.run else 'the run'} has diverged: {divergence(self.found)}"
        if not self.stop:
            if trainer.is_global_zero:
                print(f"{said}; it goes on", flush=True)
            return
        if not trainer.is_global_zero:
            raise SystemExit(2)  # as an InputError ends a command; the first process says why
        if self.run:
            found = {"run": str(self.run.path), "diverged": self.found}
            self.run.update_result(lambda result: result | found)
        raise InputError(
            f"{said}; a lower learning rate or trainer.gradient_clip_val may prevent it, "
            "--run.stop_when_diverged false, in Python a callback Divergence(stop=False), goes on all the same"
        )


def _weights(module: nn.Module) -> Iterable[Tensor]:
    """Yield all parameters and the statistics of batch normalization."""
    yield from (parameter.detach() for parameter in module.parameters())
    yield from (buffer for name, buffer in module.named_buffers() if name.endswith(_STATISTICS))
