"""Data sets with drawn label noise, a noisy validation split and clean test images."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import lightning as L
import torch
from torch import Tensor

from noisy_lightning import compat
from noisy_lightning.data.labels import LabelTable, NoiseSummary, label_hash, summarise
from noisy_lightning.data.loading.augment import Augmentation, WindowStore, seeded_generator
from noisy_lightning.data.loading.loader import Batches, BatchLoader, LabelledImages, Schedule
from noisy_lightning.data.noise.class_conditional import LabelNoise, NoNoise
from noisy_lightning.data.noise.redraw import EpochLabels
from noisy_lightning.data.noise.sampling import choose_exactly
from noisy_lightning.data.selection import Selection, read_selection
from noisy_lightning.data.sets.sources import Source, reshaped
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import FOREIGN, UNKNOWN
from noisy_lightning.types import Batch

Validation = Literal["given", "trusted", "none"]
Redraw = Literal["once", "per_epoch"]


class NoisyDataModule(L.LightningDataModule, ABC):
    """Training images with noisy labels, split into training and validation, and clean test images.

    The noise is drawn once, over the whole training set and before the split, from a generator of its own: a seed
    gives the same labels on every machine, rank and run. Validation is a stratified part of the training set that
    keeps its given (noisy) labels, so that what a run monitors needs no clean label.

    After `setup`, N being the size of the whole training set:

    - `labels`, `true_labels` (N,) int64: given labels, and true ones, which are -1 where nobody knows them;
    - `is_clean`, `is_trusted` (N,) bool: where the two agree, false where that is unknown; and where the data set
      itself vouches for the given label;
    - `is_foreign` (N,) bool: where the image is that of another data set (`OpenSet`); its true label is -2, none of the
      classes, and it is not clean;
    - `train_indices`, `val_indices` (n,) int64, ascending: the split. What is in neither part is not used, such as an
      image that cannot be read;
    - `candidate_indices` (n,) int64, ascending, those of the training part that a selection calls candidates, and
      `estimated_noise_rate`, what it takes the share of wrong labels for; both None without a selection;
    - `noise_hash`: SHA-256 of the given labels, and of which images are foreign if any is.

    With `redraw` per_epoch all this, the noise files and validation are of the first draw, that of epoch 0, too;
    `epoch_labels` gives the labels of the other epochs.

    Args:
        root: Folder with the data set's files; they are downloaded to it where they are missing.
        noise: How true labels become given ones; none by default.
        batch_size: Samples per optimizer step, over all devices together.
        eval_batch_size: Samples per batch of validation, test and prediction, over all devices together.
        val_fraction: Part of the training set to validate on, in [0, 1); 0 trains on everything.
        validation: `given` validates on what the data set itself keeps for it, or else on val_fraction of each given
            class; `trusted` on the samples whose labels the data set vouches for, which are then not trained on; `none`
            on nothing.
        balanced: Whether an epoch trains on as many samples of each given class as the rarest has, drawn anew each
            time, instead of all.
        selection: CSV file of the samples to train on, such as `noisy-lightning clean` writes, with the columns
            `index`, `select` and `candidate` (see `read_selection`). Of the training part, only what is selected is
            trained on, and candidates by methods that use them. A file that was made for other labels is refused.
        redraw: `per_epoch` draws the labels to train on anew for each epoch, so that a wrong label cannot be memorised:
            the protocol of some course projects, no way to compare with papers. Seed and epoch decide on them.
        seed: Of noise and split, >= 0. Order, augmentation and weights follow seed_everything.
        crop_padding: Zero pixels around an image from which training crops at random; None: as usual for the data set.
        horizontal_flip: Whether training mirrors every second image; None: as usual for the data set.
        mean: Mean per channel, in [0, 1], for normalisation; None: the data set's.
        std: Standard deviation per channel, > 0, for normalisation; None: the data set's.
        workers: 0 keeps all images ready on the training device, or in host memory where they do not fit there; more
            prepares batches in as many processes, for images that do not fit at all.
        download: Whether missing files may be downloaded.
        test_sets: Further data sets by name, whose test images `test` measures as well. They are resized (bilinear,
            antialiased) and made grey or coloured to have this data set's shape; class k of theirs is class k of this.
    """

    class_names: Sequence[str]
    """K names, by label."""
    num_samples: int
    """N, the size of the whole training set."""
    image_shape: tuple[int, int, int]
    """(H, W, C)."""
    has_test_set: bool = True
    """Whether there are test images."""
    in_memory: bool = True
    """Whether all images are kept in memory; otherwise they are files that are decoded a batch at a time."""
    candidate_indices: Tensor | None = None
    estimated_noise_rate: float | None = None
    selected_by_oracle: bool = False
    """Whether the selection rests on what only an experiment knows of the true labels."""
    views: int = 1
    """How many times, each augmented anew, the training loader serves an image of a batch; the method says it."""
    default_mean: Sequence[float]
    default_std: Sequence[float]
    default_padding: ClassVar[int] = 0
    default_flip: ClassVar[bool] = False

    def __init__(
        self,
        root: Path = Path("data"),
        noise: LabelNoise | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 256,
        val_fraction: float = 0.1,
        validation: Validation = "given",
        balanced: bool = False,
        selection: Path | None = None,
        redraw: Redraw = "once",
        seed: int = 0,
        crop_padding: int | None = None,
        horizontal_flip: bool | None = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        workers: int = 0,
        download: bool = True,
        test_sets: dict[str, "NoisyDataModule"] | None = None,
    ) -> None:
        super().__init__()
        self.root, self.download = Path(root), download
        self.noise: LabelNoise = noise or NoNoise()
        self.batch_size = _at_least(1, "batch_size", batch_size)
        self.eval_batch_size = _at_least(1, "eval_batch_size", eval_batch_size)
        self.seed = _at_least(0, "seed", seed)
        self.workers = _at_least(0, "workers", workers)
        if not 0 <= val_fraction < 1:
            raise InputError(f"data.val_fraction must be in [0, 1), got {val_fraction}")
        self.val_fraction = val_fraction
        if validation not in get_args(Validation):
            raise InputError(f"data.validation must be one of {', '.join(get_args(Validation))}, got {validation!r}")
        self.validation, self.balanced = validation, balanced
        self.selection = None if selection is None else Path(selection)
        if redraw not in get_args(Redraw):
            raise InputError(f"data.redraw must be one of {', '.join(get_args(Redraw))}, got {redraw!r}")
        if redraw == "per_epoch" and balanced:
            raise InputError("data.redraw per_epoch leaves no class its size: data.balanced must be false")
        self.redraw = redraw
        padding = self.default_padding if crop_padding is None else _at_least(0, "crop_padding", crop_padding)
        flip = self.default_flip if horizontal_flip is None else horizontal_flip
        height, width, channels = self.image_shape
        for name, values in {"mean": mean, "std": std}.items():
            if values is not None and (len(values) != channels or (name == "std" and min(values) <= 0)):
                raise InputError(f"data.{name} needs {channels} numbers{' > 0' * (name == 'std')}, got {values}")
        self.augmentation = Augmentation(
            height, width, mean or self.default_mean, std or self.default_std, padding, flip
        )
        self.test_sets = test_sets or {}
        for name in self.test_sets:
            if not name.isidentifier():
                raise InputError(f"data.test_sets: a name is made of letters, digits and _, got {name!r}")
        self._tests: dict[str, Source] = {}
        self._stores: dict[str, WindowStore] = {}

    def fetch(self) -> None:
        """Verify the files, or download them; nothing to do where a data set comes with a package."""

    def check_images(self) -> None:
        """Read what training would read late; nothing to do where `load` has read all images.

        Raises:
            InputError: Images are broken and not to be skipped.
        """

    @abstractmethod
    def load(self, train: bool) -> Source:
        """Return the images and labels of the training or the test set."""

    def prepare_data(self) -> None:
        """Have the files of all data sets ready."""
        for data in (self, *self.test_sets.values()):
            data.fetch()
        self.noise.prepare(lambda: self.load(train=True), self.num_classes)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @property
    def in_channels(self) -> int:
        """C."""
        return self.image_shape[2]

    @property
    def validates(self) -> bool:
        """Whether there is a validation part."""
        return self.validation == "trusted" or (self.validation == "given" and self.val_fraction > 0)

    def setup(self, stage: str | None = None) -> None:
        """Load the images, draw the noise and split; every stage has the same labels.

        Test and prediction begin without the selection, which they do not need: its file may be gone by then.
        """
        if not hasattr(self, "labels"):
            self.source = self.load(train=True)
            self.true_labels = self.source.labels
            generator = seeded_generator("noise", self.seed)
            undrawn = generator.get_state()
            self.labels = self._given_labels(generator)
            if self.redraw == "per_epoch" and generator.get_state().equal(undrawn):
                kind = "the labels as found" if self._as_found else type(self.noise).__name__
                raise InputError(f"data.redraw must be once: {kind} would be the same in every epoch, nothing is drawn")
            self._put_foreign_images(seeded_generator("foreign", self.seed))
            self.is_clean = self.labels == self.true_labels
            trusted = self.source.trusted
            self.is_trusted = torch.zeros_like(self.is_clean) if trusted is None else trusted
            self.noise_hash = label_hash(self.labels, self._foreign_index, self._foreign_checksum)
        selection = None if stage in ("test", "predict") else self.selection
        if not hasattr(self, "train_indices") or (selection is not None and self.candidate_indices is None):
            chosen = None if selection is None else read_selection(selection, self.labels)
            self.train_indices, self.val_indices = self._split(chosen, seeded_generator("split", self.seed))
            self._redrawn = self._epoch_labels() if self.redraw == "per_epoch" else None
        if not self._tests and (stage == "test" or (stage is None and self.has_test_set)):
            self._tests["test"] = self.load(train=False)
            for name, data in self.test_sets.items():
                self._tests[f"test_{name}"] = self._adapted(name, data.load(train=False))

    def train_on_candidates(self) -> None:
        """Add the candidates of the selection, if there is one, to the training part."""
        if self.candidate_indices is not None:
            served = torch.zeros_like(self.is_clean)
            served[self.train_indices] = served[self.candidate_indices] = True
            self.train_indices = served.nonzero().squeeze(1)

    @property
    def train_names(self) -> Sequence[str] | None:
        """N paths of the training images below their folder; None where they are not files."""
        return None

    def train_images(self, index: Tensor) -> Tensor:
        """Return training images as they are: (n, C, H, W) uint8 for positions (n,)."""
        return self.source.images[index].permute(0, 3, 1, 2)

    def epoch_labels(self, epoch: int) -> Tensor:
        """Return the given labels (N,) that an epoch, counted from 0, trains on; `labels` unless they are redrawn."""
        return self.labels if self._redrawn is None or self._overfits else self._redrawn(epoch)

    def label_table(self) -> LabelTable:
        """Return every label and its part, as the noise files hold them."""
        return LabelTable(self.true_labels, self.labels, self.train_indices, self.val_indices, self._foreign_index)

    def noise_summary(self) -> NoiseSummary:
        """Return what noise was asked for and what it came to.

        Where not all true labels are known, those that the data set vouches for do not count: they are right because
        they were chosen to be.
        """
        table = self.label_table()
        if (self.true_labels == UNKNOWN).any():
            table = replace(table, true_labels=self.true_labels.masked_fill(self.is_trusted, UNKNOWN))
        summary = summarise(
            self.noise,
            table,
            seed=self.seed,
            num_classes=self.num_classes,
            dataset=type(self).__name__,
            dataset_checksum=self.source.checksum(),
            foreign_checksum=self._foreign_checksum,
            redraw=self.redraw,
        )
        if self._as_found:
            unknown: dict[str, Any] = {"nominal_rate": None, "expected_rate": None, "nominal_matrix": None}
            return replace(summary, kind="AsFound", arguments={}, **unknown)
        return summary

    def train_dataloader(self) -> BatchLoader:
        """Serve the training part, shuffled and augmented."""
        shuffle = not self._overfits
        classes = self.labels[self.train_indices] if self.balanced and shuffle else None
        epoch_labels = self._redrawn if shuffle else None
        return self._loader("train", self.train_indices, self.batch_size, shuffle, self.views, classes, epoch_labels)

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
        """Return what identifies the labels, for the checkpoint."""
        return {"noise_hash": self.noise_hash}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint that was trained on other labels.

        Raises:
            InputError: The hashes of the given labels differ.
        """
        if state_dict["noise_hash"] != self.noise_hash:
            raise InputError(
                f"the checkpoint was trained on labels {state_dict['noise_hash'][:16]}…, this configuration draws "
                f"{self.noise_hash[:16]}…: use the data set, data.noise and data.seed of its run (config.yaml and "
                "noise.json in the run's folder)"
            )

    @property
    def _overfits(self) -> bool:
        """Whether the trainer shows the same few batches again and again, to see if a network can learn at all."""
        return getattr(self.trainer, "overfit_batches", 0) > 0

    @property
    def _as_found(self) -> bool:
        """Whether the given labels are those that came with the images."""
        return self.source.given_labels is not None and isinstance(self.noise, NoNoise)

    def _given_labels(self, generator: torch.Generator) -> Tensor:
        """Take the labels that came with the images, or draw them from the true ones."""
        true = self.source.labels
        if self.source.given_labels is not None and self._as_found:
            return self.source.given_labels
        unknown = int((true < 0).sum())
        if unknown and self.noise.needs_true_labels:
            raise InputError(
                f"data.noise: {type(self.noise).__name__} needs every sample's true label, which {unknown} of "
                f"{len(true)} samples do not have: leave data.noise out to train on the labels as they are"
            )
        return self.noise.corrupt(true, self._pixels, self.num_classes, generator)

    @property
    def _pixels(self) -> Tensor | None:
        """The training images as noise takes them."""
        images = self.source.images
        return images.permute(0, 3, 1, 2) if isinstance(images, Tensor) else None

    def _epoch_labels(self) -> EpochLabels:
        """Return what draws the labels of each epoch."""
        noise, true, indices = self.noise, self.source.labels, self.train_indices
        return EpochLabels(noise, true, self._pixels, self.num_classes, self.seed, self.labels, indices)

    def _put_foreign_images(self, generator: torch.Generator) -> None:
        """Exchange the images that the noise takes from another data set."""
        self.is_foreign = torch.zeros(len(self.labels), dtype=torch.bool)
        self._foreign_index: Tensor | None = None
        self._foreign_checksum: str | None = None
        foreign = self.noise.foreign_images(len(self.labels), self.image_shape, generator)
        if foreign is None or not len(foreign.images):
            return
        if not isinstance(self.source.images, Tensor):
            raise InputError("data.noise: foreign images can be put among images in memory only: raise data.cache_gib")
        self._foreign_index, self._foreign_checksum = foreign.index, foreign.checksum
        self.is_foreign = foreign.index >= 0
        self.true_labels = torch.where(self.is_foreign, FOREIGN, self.true_labels)
        images = self.source.images.clone()
        images[self.is_foreign] = foreign.images
        self.source = self.source._replace(images=images, identity=self.source.checksum())

    def _split(self, chosen: Selection | None, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Choose what to validate on; what the data set keeps for validation is never trained on."""
        kept, trusted = self.source.validation, self.source.trusted
        is_val = torch.zeros_like(self.is_clean)
        cause = f"data.validation {self.validation}"
        if chosen is not None and chosen.validate is not None:
            # The file says all: what else is kept for validation may be trained on.
            is_val, kept, cause = chosen.validate & self.validates, None, f"data.selection {self.selection}"
        elif self.validation == "trusted":
            if trusted is None or not trusted.any():
                raise InputError(f"data.validation: {type(self).__name__} has no samples marked as trusted here")
            is_val = trusted
        elif self.validation == "given" and kept is not None:
            is_val = kept
        elif self.validation == "given":
            # The same fraction of every given class.
            is_val = choose_exactly(self.labels, self.val_fraction, True, generator)
            cause = f"data.val_fraction {self.val_fraction}"
        is_train = ~is_val if kept is None else ~(is_val | kept)
        if self.source.broken is not None:
            is_val, is_train = is_val & ~self.source.broken, is_train & ~self.source.broken
        if self.validates and not is_val.any():
            raise InputError(f"{cause} leaves no sample to validate on; data.validation none asks for none")
        if chosen is not None:
            self.candidate_indices = (is_train & chosen.candidate).nonzero().squeeze(1)
            self.estimated_noise_rate, self.selected_by_oracle = chosen.noise_rate, chosen.oracle
            is_train, cause = is_train & chosen.select, f"data.selection {self.selection}"
        if not is_train.any():
            raise InputError(f"{cause} leaves no sample to train on")
        return is_train.nonzero().squeeze(1), is_val.nonzero().squeeze(1)

    def _adapted(self, name: str, source: Source) -> Source:
        """Bring another data set's images to this one's shape."""
        if source.labels.max() >= self.num_classes:
            raise InputError(f"data.test_sets.{name} has classes beyond the {self.num_classes} of this data set")
        if tuple(source.images.shape[1:]) == self.image_shape:
            return source
        if not isinstance(source.images, Tensor):
            raise InputError(
                f"data.test_sets.{name}: image_size must be {list(self.image_shape[:2])} as here, or cache_gib larger"
            )
        return source._replace(images=reshaped(source.images, self.image_shape))

    def _loader(
        self,
        part: str,
        index: Tensor,
        batch_size: int,
        shuffle: bool = False,
        views: int = 1,
        classes: Tensor | None = None,
        epoch_labels: EpochLabels | None = None,
    ) -> BatchLoader:
        if part == "train":
            data = LabelledImages(self.source.images, self.labels, self.true_labels, epoch_labels)
        else:
            source = self._tests[part]
            data = LabelledImages(source.images, source.labels, source.labels)
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        schedule = Schedule(index, batch_size, shuffle, compat.training_seed(), rank, world_size, classes)
        if isinstance(data.images, Tensor) and not self.workers:
            store = self._store(part, data.images)
            return BatchLoader(Batches(data, self.augmentation, schedule, store, views))
        return BatchLoader(Batches(data, self.augmentation, schedule, None, views), self.workers)

    def _store(self, part: str, images: Tensor) -> WindowStore:
        if part not in self._stores:
            device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
            if device.type == "cuda":
                free, _ = torch.cuda.mem_get_info(device)
                if WindowStore.nbytes(images, self.augmentation) > free / 2:
                    device = torch.device("cpu")
            self._stores[part] = WindowStore(images, self.augmentation, device)
        return self._stores[part]


def _at_least(minimum: int, name: str, value: int) -> int:
    if value < minimum:
        raise InputError(f"data.{name} must be at least {minimum}, got {value}")
    return value
