"""A training run of a moment on any data set, with a recorder."""

from pathlib import Path

import lightning as L

from noisy_lightning.data import NoisyDataModule
from noisy_lightning.data.manifest import write_manifest
from noisy_lightning.runs.records import Records, load
from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder
from noisy_lightning.training.module import NoisyClassifier
from tests.networks import Plain


def fitted(data: NoisyDataModule, folder: Path) -> Records:
    """Train for two epochs, test, and return what was recorded."""
    model = NoisyClassifier(data.num_classes, data.in_channels, data.num_samples, backbone=Plain)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        callbacks=[SampleRecorder(pictures=False)],
        log_every_n_steps=1,
    )
    trainer.fit(model, datamodule=data)
    trainer.test(model, datamodule=data, verbose=False)
    write_manifest(folder, data.noise_summary(), data.label_table())
    return load(folder)
