"""A callback that exchanges the true labels."""

from typing import Any, final

import lightning as L
import torch


@final
class OtherTruth(L.Callback):
    """Permutes the true labels once they are loaded and the noise is drawn."""

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        random = torch.Generator().manual_seed(0)
        data.true_labels = data.true_labels[torch.randperm(len(data.true_labels), generator=random)]
        data.is_clean = data.labels == data.true_labels
