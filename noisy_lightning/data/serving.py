"""What Lightning asks of a data set once it is drawn and split: batches of each part, on the training device."""

from abc import ABC
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import lightning as L
import torch
from torch import Tensor

from noisy_lightning import compat
from noisy_lightning.data.labels import check_label_hash
from noisy_lightning.data.loading.accompanied import AccompaniedBatches
from noisy_lightning.data.loading.augment import Augmentation, WindowStore, placed
from noisy_lightning.data.loading.loader import Batches, BatchLoader, LabeledImages, Schedule
from noisy_lightning.data.loading.network_input import check_image_shape, describe_inputs
from noisy_lightning.data.loading.sampling import Sampling, served_counts
from noisy_lightning.data.noise.redraw import EpochLabels
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.types import Batch, View


class ServingDataModule(L.LightningDataModule, ABC):
    """Serves the parts of a data set in batches; a subclass has `setup` load, draw and split it."""

    class_names: Sequence[str]
    """K names, by label."""
    augmentation: Augmentation
    source: Source
    """The training set."""
    labels: Tensor
    """(N,) int64 given labels."""
    true_labels: Tensor
    """(N,) int64 true labels; -1 where nobody knows them, -2 where the image is of none of the classes."""
    train_indices: Tensor
    """(n,) int64, ascending."""
    val_indices: Tensor
    """(m,) int64, ascending."""
    batch_size: int
    eval_batch_size: int
    workers: int
    sampling: Sampling
    served_views: Sequence[View] = ("weak",)
    """In which views, each augmented anew, the training loader serves an image of a batch."""
    companions: Tensor | None = None
    """(m,) int64, the samples of which the training loader serves some beside each batch; None: none."""
    given_statistics: Collection[str]
    """Which of `mean` and `std` were given, so that nothing else is put in their place."""
    noise_hash: str
    """SHA-256 of the given labels, and of which images are foreign if any is."""
    _redrawn: EpochLabels | None = None

    def __init__(self) -> None:
        super().__init__()
        self._tests: dict[str, Source] = {}
        self._stores: dict[str, WindowStore] = {}

    def epoch_labels(self, epoch: int) -> Tensor:
        """Return the given labels (N,) that an epoch, counted from 0, trains on; `labels` unless they are redrawn."""
        return self.labels if self._redrawn is None or self._overfits else self._redrawn(epoch)

    def train_dataloader(self) -> BatchLoader:
        """Serve the training part, shuffled and augmented."""
        shuffle = not self._overfits
        sampling: Sampling = self.sampling if shuffle else "natural"
        epoch_labels = self._redrawn if shuffle else None
        loader = self._loader(
            "train", self.train_indices, self.batch_size, shuffle, self.served_views, sampling, epoch_labels
        )
        if self.companions is None:
            return loader
        beside = self._loader("train", self.companions, self.batch_size, shuffle)
        return BatchLoader(AccompaniedBatches(loader.batches, beside.batches), self.workers)

    def served_counts(self) -> Tensor:
        """Return how many samples of each given class an epoch of training serves, (K,) int64."""
        sizes = self.labels[self.train_indices].bincount(minlength=len(self.class_names))
        return served_counts(sizes, self.sampling)

    def serve_views(self, views: Sequence[View]) -> None:
        """Have each image of a training batch served in these views; the method says it."""
        self.served_views = views

    def serve_companions(self, index: Tensor | None) -> None:
        """Have each training batch accompanied by some of these samples (m,) that can be read; the method says which.

        Raises:
            InputError: None of them can be read.
        """
        if index is not None:
            index = index[torch.isin(index, self.source.usable())]
            if not len(index):
                raise InputError("model.method: there is no image of the samples that it wants beside each batch")
        self.companions = index

    def training_part(self, epoch: int, augmented: bool, index: Tensor | None = None) -> BatchLoader:
        """Serve the training part, or samples (n,) of it, in one view, as `epoch` would be augmented or as it is."""
        samples = self.train_indices if index is None else index
        loader = self._loader("train", samples, self.batch_size, shuffle=augmented)
        loader.set_epoch(epoch)
        return loader

    def val_dataloader(self) -> list[BatchLoader]:
        """Serve the validation part with its given labels; nothing where there is none."""
        if not len(self.val_indices):
            return []
        return [self._loader("train", self.val_indices, self.eval_batch_size)]

    def test_dataloader(self) -> list[BatchLoader]:
        """Serve the test images with their true labels: this data set's, then those of `test_sets`."""
        assert self._tests, "setup('test') comes first"
        return [self._loader(name, source.usable(), self.eval_batch_size) for name, source in self._tests.items()]

    def predict_dataloader(self) -> BatchLoader:
        """Serve the whole training set in its original order, as it is, to see what a network makes of it."""
        return self._loader("train", self.source.usable(), self.eval_batch_size)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Return the batch on the device, where the in-memory loader has made it."""
        if batch.image.device == device:
            return batch
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def teardown(self, stage: str) -> None:
        """Free the images that were made ready."""
        self._stores.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return what identifies the labels, and what a network needs to be used, for the checkpoint.

        `inputs` holds plain data: `class_names` of the K logits, and the arguments of `to_input` by which an image
        becomes what the network takes.
        """
        inputs = describe_inputs(self.class_names, self.augmentation, self.source.images.shape)
        return {"noise_hash": self.noise_hash, "inputs": inputs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on other labels or sizes, and normalize as its network wants it.

        Raises:
            InputError: The hashes of the given labels differ, or the shapes of the images.
        """
        check_label_hash(state_dict["noise_hash"], self.noise_hash)
        if inputs := state_dict.get("inputs"):
            # What comes of images of another size would stand in the result of the run as if it were its own.
            check_image_shape(inputs, self.state_dict()["inputs"])
            self.normalize_by(inputs["mean"], inputs["std"])

    def normalize_by(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Normalize images as pretrained weights want it, where mean or deviation were not given.

        Args:
            mean: C means, in [0, 1].
            std: C deviations, > 0.
        """
        wanted = {
            name: list(values) for name, values in (("mean", mean), ("std", std)) if name not in self.given_statistics
        }
        if any(getattr(self.augmentation, name) != values for name, values in wanted.items()):
            self.augmentation = replace(self.augmentation, **wanted)  # type: ignore[arg-type]
            self._stores.clear()

    @property
    def test_source(self) -> Source:
        """The test set, without those of `test_sets`."""
        assert self._tests, "setup('test') comes first"
        return self._tests["test"]

    @property
    def _overfits(self) -> bool:
        """Whether the trainer shows the same few batches again and again, to see if a network can learn at all."""
        return getattr(self.trainer, "overfit_batches", 0) > 0

    def _loader(
        self,
        part: str,
        index: Tensor,
        batch_size: int,
        shuffle: bool = False,
        views: Sequence[View] = ("weak",),
        sampling: Sampling = "natural",
        epoch_labels: EpochLabels | None = None,
    ) -> BatchLoader:
        if part == "train":
            data = LabeledImages(self.source.images, self.labels, self.true_labels, epoch_labels)
        else:
            source = self._tests[part]
            data = LabeledImages(source.images, source.labels, source.labels)
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        training_seed = compat.training_seed()
        classes = None if sampling == "natural" else self.labels[index]
        schedule = Schedule(index, batch_size, shuffle, training_seed, rank, world_size, sampling, classes)
        augmentation = self.augmentation if part == "train" else self.augmentation.of_tests()
        store: WindowStore | None = None
        if isinstance(data.images, Tensor) and not self.workers:
            store = self._store(part, data.images, augmentation)
        return BatchLoader(Batches(data, augmentation, schedule, store, views), self.workers)

    def _store(self, part: str, images: Tensor, augmentation: Augmentation) -> WindowStore:
        if part not in self._stores:
            device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
            self._stores[part] = placed(images, augmentation, device)
        return self._stores[part]
