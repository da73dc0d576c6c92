"""Batches in a reproducible order, sharded over ranks, resumable in mid-epoch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, final
from weakref import proxy

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from noisy_lightning import compat
from noisy_lightning.data.loading.augment import Augmentation, WindowStore, seeded_generator, uniforms
from noisy_lightning.data.loading.recipes.resizing import resized
from noisy_lightning.data.loading.sampling import Sampling, appearances, repeats, served_counts
from noisy_lightning.data.sets.sources import Images
from noisy_lightning.errors import InputError
from noisy_lightning.jobs.processes import end_with_parent
from noisy_lightning.types import Batch, View


class LabeledImages(NamedTuple):
    """A data set: every image with its given and its true label."""

    images: Images
    """(N, H, W, C) uint8, or features (N, 1, V, D)."""
    labels: Tensor
    """(N,) int64 given labels."""
    true_labels: Tensor
    """(N,) int64 true labels, -1 where unknown."""
    epoch_labels: Callable[[int], Tensor] | None = None
    """Gives the given labels (N,) of an epoch; None: they stay."""


@dataclass(frozen=True)
class Schedule:
    """Which samples make up which batch on which rank.

    A batch of `batch_size` samples is split over the ranks, so that the optimizer sees the same batches on any
    number of devices; the parts of one that does not divide evenly differ by one sample. Every sample is served once
    per epoch, or as often as `sampling` says; all ranks have equally many batches. A last batch with fewer than two
    samples per rank joins the one before it: batch normalization cannot train on one sample.

    Where classes are sampled, the samples of a class are served equally often, or some of them once more than the
    others: these are drawn anew for each epoch. A sample that is served several times stands anywhere in the order,
    perhaps twice in a batch.

    Raises:
        InputError: `batch_size` is not positive, or a batch has fewer samples than there are ranks.
    """

    index: Tensor
    """(n,) positions in the data set, of the samples to serve."""
    batch_size: int
    """Samples per batch over all ranks."""
    shuffle: bool
    """Whether order and augmentation are drawn anew for each epoch; otherwise both stay plain."""
    seed: int = 0
    rank: int = 0
    world_size: int = 1
    sampling: Sampling = "natural"
    """How many samples of each class an epoch serves; see `served_counts`."""
    classes: Tensor | None = None
    """(n,) class of each sample; None: they are served as they are."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"data.batch_size must be at least 1, got {self.batch_size}")
        if min(self.count, self.batch_size) < self.world_size:
            raise InputError(
                f"data.batch_size {self.batch_size} of {self.count} samples cannot be split over "
                f"{self.world_size} devices"
            )

    @cached_property
    def count(self) -> int:
        """Samples that an epoch serves, over all ranks."""
        return len(self.index) if self._served is None else int(self._served.sum())

    @cached_property
    def _served(self) -> Tensor | None:
        """Samples of each class that an epoch serves; None: all of all."""
        return None if self.classes is None else served_counts(self.classes.bincount(), self.sampling)

    def order(self, generator: torch.Generator) -> Tensor:
        """Return the positions in the data set (count,) that an epoch serves, in an order drawn at random."""
        drawn = torch.randperm(len(self.index), generator=generator)
        if self.classes is None or self._served is None:
            return self.index[drawn]
        order = self.index[drawn.repeat_interleave(appearances(self.classes[drawn], self._served))]
        # Without a second draw, all appearances of a sample would follow each other.
        return order[torch.randperm(len(order), generator=generator)] if self.repeats else order

    @property
    def repeats(self) -> bool:
        """Whether a sample may be served more than once per epoch."""
        return repeats(self.sampling)

    def __len__(self) -> int:
        full, rest = divmod(self.count, self.batch_size)
        return max(1, full + (rest >= 2 * self.world_size))

    def part(self, batch: int) -> slice:
        """Return where in an epoch's order this rank's share of a batch stands."""
        end = self.count if batch == len(self) - 1 else (batch + 1) * self.batch_size
        return slice(batch * self.batch_size + self.rank, end, self.world_size)


class _Epoch(NamedTuple):
    """One epoch's samples in the order in which they are served, each (n,), on the device of the batches."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    offset: Tensor
    """(V, n)."""
    label: Tensor
    true_label: Tensor
    drawn_for: Tensor
    """What a recipe's numbers are drawn for, on the CPU: samples, or places in the order."""


class BatchesOfEpochs(Dataset[Batch], ABC):
    """Makes the batch that belongs to a pair of epoch and number."""

    schedule: Schedule

    @abstractmethod
    def __getitem__(self, key: tuple[int, int]) -> Batch: ...


@final
class Batches(BatchesOfEpochs):
    """Makes the batch that belongs to a pair of epoch and number.

    Args:
        data: The data set.
        augmentation: Normalization and, where the schedule shuffles, random crop and flip.
        schedule: Which samples make up which batch.
        store: The images ready for reading, on the device where batches are made; None makes batches in host memory,
            reading only their own images.
        views: In which views each image is served, every time augmented by draws of its own; the first view is the
            same however many there are.
    """

    def __init__(
        self,
        data: LabeledImages,
        augmentation: Augmentation,
        schedule: Schedule,
        store: WindowStore | None,
        views: Sequence[View] = ("weak",),
    ) -> None:
        self.data, self.augmentation, self.schedule, self.store = data, augmentation, schedule, store
        self.views = views
        self._augments = schedule.shuffle and any(augmentation.recipe(view).draws for view in views)
        self._current: tuple[int, _Epoch] | None = None

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        number, batch = key
        if self._current is None or self._current[0] != number:
            self._current = number, self._epoch(number)
        epoch, part = self._current[1], self.schedule.part(batch)
        index = epoch.index[part]
        if self.store is None:
            store, slot = WindowStore(self.data.images[index], self.augmentation), torch.arange(len(index))
        else:
            store, slot = self.store, index
        if self._augments:
            image = self._augmented(store, slot, epoch.offset[:, part], epoch.drawn_for[part], number)
        elif len(self.views) == 1:
            image = store.read(slot, epoch.offset[0, part])
        else:
            # All views are read at once, so that each of them lies in memory as a batch of one view does.
            image = store.read(slot.repeat(len(self.views)), epoch.offset[:, part].flatten())
        if len(self.views) > 1:
            image = image.view(len(self.views), -1, *image.shape[1:])
        return Batch(image, epoch.label[part], index, epoch.true_label[part])

    def _augmented(self, store: WindowStore, slot: Tensor, offset: Tensor, drawn_for: Tensor, number: int) -> Tensor:
        """Return all views of a batch, one after the other, (V · B, C, H, W)."""
        pixels = []
        for place, view in enumerate(self.views):
            recipe = self.augmentation.recipe(view)
            draws = uniforms("recipe", (self.schedule.seed, number, place), drawn_for, recipe.draws)
            windows = store.windows(slot, offset[place])
            pixels.append(resized(recipe(windows, draws, store.mean, store.size), store.size))
        return store.normalized(torch.cat(pixels))

    def _epoch(self, number: int) -> _Epoch:
        index, count = self.schedule.index, len(self.data.labels)
        if self.schedule.shuffle:
            generator = seeded_generator("epoch", self.schedule.seed, number)
            index = self.schedule.order(generator)
            if self.schedule.repeats:  # each appearance is augmented by draws of its own
                offsets = self.augmentation.offsets_of_views(len(index), generator, self.views)
            else:  # drawn for the whole data set, so that a sample's augmentation does not depend on the split
                offsets = self.augmentation.offsets_of_views(count, generator, self.views)[:, index]
        else:
            offsets = self.augmentation.center_offsets(len(index)).expand(len(self.views), -1)
        labels = self.data.labels if self.data.epoch_labels is None else self.data.epoch_labels(number)
        columns = (index, offsets, labels[index], self.data.true_labels[index])
        device = "cpu" if self.store is None else self.store.device
        served, offset, label, true_label = (column.to(device) for column in columns)
        drawn_for = torch.arange(len(index)) if self.schedule.repeats else index
        return _Epoch(served, offset, label, true_label, drawn_for)


class BatchLoader:
    """Iterates over the batches of an epoch; Lightning takes it as a data loader.

    Order and augmentation are functions of seed, epoch, sample and view (or place in the order, where a sample may come
    several times), so they are the same on any number of ranks, in memory or through workers, and after a resume.

    Args:
        batches: What is served.
        workers: 0 makes the batches in this process; more makes them ahead of time in as many processes.
    """

    _iterator = compat.iterator_of("_pool")

    def __init__(self, batches: BatchesOfEpochs, workers: int = 0) -> None:
        self.batches, self.epoch = batches, 0
        self._start = self._next = 0
        self._pool: DataLoader[Batch] | None = None
        if workers:
            self._pool = DataLoader(
                batches,
                batch_size=None,
                sampler=_Remaining(self),
                num_workers=workers,
                persistent_workers=True,
                pin_memory=torch.cuda.is_available(),
                generator=torch.Generator(),  # else each epoch would draw from the global one
                worker_init_fn=end_with_parent,  # else they would keep the lock of a killed run for five seconds
            )
        if batches.schedule.shuffle:
            compat.announce_epochs(self)

    def __len__(self) -> int:
        return len(self.batches.schedule)

    def __iter__(self) -> Iterator[Batch]:
        # A generator does nothing until its first batch is asked for: Lightning makes iterators that it never uses.
        self._next, self._start = self._start, 0
        try:
            for batch in (self.batches[key] for key in self.remaining()) if self._pool is None else self._pool:
                self._next += 1
                yield batch
        except InputError as error:
            raise InputError(compat.error_of_worker(error)) from error

    def remaining(self) -> Iterator[tuple[int, int]]:
        """Return epoch and number of the batches that are still to come."""
        epoch = self.epoch  # an iterator that kept this object would keep the workers, too
        return ((epoch, number) for number in range(self._next, len(self)))

    def set_epoch(self, epoch: int) -> None:
        """Turn to an epoch: to its start, unless it is the one that `load_state_dict` has set."""
        if epoch != self.epoch:
            self.epoch, self._start = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where the epoch stands, the same on all ranks."""
        return {"epoch": self.epoch, "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.epoch, self._start = state["epoch"], state["next"] % len(self)


class _Remaining(Sampler[tuple[int, int]]):
    """Tells the workers which batches to make."""

    def __init__(self, loader: BatchLoader) -> None:
        self.loader: BatchLoader = proxy(loader)  # what refers to itself ends late, and its workers with it

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return self.loader.remaining()
