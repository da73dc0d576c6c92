"""Where a run stands, in one line."""

import sys
import time
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from noisy_lightning import compat
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


@final
@without_idle_step_hooks
class RunProgress(ProgressBar):
    """One bar for the whole run: epoch, loss, validation accuracy, time left.

    It is refreshed about once a second, since reading the loss of a step waits for the device. Where the output is
    no terminal, each epoch prints one line.

    Args:
        interval: Seconds between refreshes.
    """

    def __init__(self, interval: float = 1.0) -> None:
        super().__init__()
        self.interval = interval
        self._bar: tqdm[Any] | None = None
        self._enabled = True
        self._next = 0.0
        self._accuracy = ""  # of the last epoch

    def disable(self) -> None:
        """Show nothing."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress again."""
        self._enabled = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar at where the run stands."""
        self._start = time.monotonic()
        if self._enabled and sys.stderr.isatty() and isinstance(trainer.num_training_batches, int):
            total = trainer.num_training_batches * (trainer.max_epochs or 0)
            done = trainer.num_training_batches * trainer.current_epoch
            layout = "{desc}  {percentage:3.0f} % |{bar:10}| {remaining} left"
            self._bar = tqdm(total=max(total, 1), initial=done, mininterval=0, bar_format=layout)
        else:
            compat.skip_hook(self, "on_train_batch_end")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Refresh the bar, seldom."""
        now = time.monotonic()
        if self._bar is not None and now >= self._next:
            self._next = now + self.interval
            loss = outputs["loss"].item() * trainer.accumulate_grad_batches  # which Lightning divides it by
            self._refresh(trainer, batch_idx + 1, f"loss {loss:.3f}{_accuracy(trainer) or self._accuracy}")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the epoch's means."""
        loss = trainer.callback_metrics.get("train/loss")
        self._accuracy = _accuracy(trainer)
        text = ("" if loss is None else f"loss {loss:.3f}") + self._accuracy
        if self._bar is not None:
            self._refresh(trainer, int(trainer.num_training_batches), text)
        elif self._enabled:
            line = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}"
            print(f"{line}  {time.monotonic() - self._start:.0f} s", flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that what follows starts on a line of its own."""
        self._close()

    def _refresh(self, trainer: L.Trainer, batches: int, text: str) -> None:
        assert self._bar is not None
        self._bar.n = trainer.num_training_batches * trainer.current_epoch + batches
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar.set_description_str(f"{epoch}  {text}")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _accuracy(trainer: L.Trainer) -> str:
    accuracy = trainer.callback_metrics.get("val/acc")
    return "" if accuracy is None else f"  val acc {accuracy:.3f}"
