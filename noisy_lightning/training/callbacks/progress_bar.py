"""Where a run stands, in one line."""

import sys
import time
from collections.abc import Sequence
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm import tqdm

from noisy_lightning import compat
from noisy_lightning.runs.environment import peak_memory
from noisy_lightning.training.callbacks.step_hooks import without_idle_step_hooks


@final
@without_idle_step_hooks
class RunProgress(ProgressBar):
    """One bar for the whole run: epoch, time left, loss, validation accuracy, images per second and memory.

    The rate is that of the running epoch, on all devices. The memory is the most that the process has used so far: of
    the GPU, or else of the machine. The bar is refreshed about once a second, since reading the loss of a step waits
    for the device, and ends where the terminal does. Where the output is no terminal, each epoch prints one line.

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
        self._images, self._since, self._until = 0, 0.0, 0.0  # of the running epoch, in this process

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
            # What matters least comes last, since a narrow terminal cuts it off.
            layout = "{desc} |{bar:10}| {percentage:3.0f} %, {remaining} left{postfix}"
            self._bar = tqdm(total=max(total, 1), initial=done, mininterval=0, bar_format=layout, dynamic_ncols=True)
            self._begin()
        else:
            compat.skip_hook(self, "on_train_epoch_start")
            compat.skip_hook(self, "on_train_batch_end")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count images anew: what comes between epochs has no part in how fast they are trained on."""
        self._begin()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Refresh the bar, seldom."""
        now = self._until = time.monotonic()
        self._images += len(getattr(batch, "label", batch)) * trainer.world_size
        if self._bar is not None and now >= self._next:
            self._next = now + self.interval
            loss = outputs["loss"].item() * trainer.accumulate_grad_batches  # which Lightning divides it by
            self._refresh(trainer, batch_idx + 1, [f"loss {loss:.3f}", _accuracy(trainer) or self._accuracy])

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the epoch's means."""
        loss = trainer.callback_metrics.get("train/loss")
        self._accuracy = _accuracy(trainer)
        texts = ["" if loss is None else f"loss {loss:.3f}", self._accuracy]
        if self._bar is not None:
            self._refresh(trainer, int(trainer.num_training_batches), texts)
        elif self._enabled:
            texts = [f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}", *filter(None, texts)]
            print(f"{'  '.join(texts)}  {time.monotonic() - self._start:.0f} s", flush=True)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that what follows starts on a line of its own."""
        self._close()

    def _begin(self) -> None:
        self._images, self._since = 0, time.monotonic()
        self._until = self._since

    def _refresh(self, trainer: L.Trainer, batches: int, texts: Sequence[str]) -> None:
        assert self._bar is not None
        self._bar.n = trainer.num_training_batches * trainer.current_epoch + batches
        rate = self._images / max(self._until - self._since, 1e-9)
        memory = peak_memory(trainer.strategy.root_device)
        shown = [*texts, f"{rate:,.0f} images/s", "" if memory is None else f"{memory / 1024:.1f} GiB"]
        self._bar.set_postfix_str(", ".join(filter(None, shown)), refresh=False)
        self._bar.set_description_str(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _accuracy(trainer: L.Trainer) -> str:
    accuracy = trainer.callback_metrics.get("val/acc")
    return "" if accuracy is None else f"val acc {accuracy:.3f}"
