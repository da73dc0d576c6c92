"""Data sets with drawn label noise, a noisy validation split and clean test images."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, get_args

from torch import Tensor

from noisy_lightning.data.adapting import adapted, as_test_set, same_classes, without_images
from noisy_lightning.data.arguments import at_least, check_choice, check_names, check_statistics
from noisy_lightning.data.drawing import Redraw, draw, is_as_found, pixels
from noisy_lightning.data.labels import LabelTable, NoiseSummary, label_hash, rare_classes, summarize
from noisy_lightning.data.loading.augment import Augmentation, seeded_generator
from noisy_lightning.data.loading.recipes.base import CropFlip
from noisy_lightning.data.loading.recipes.in_turn import Recipes, recipe_of
from noisy_lightning.data.loading.recipes.policies import RandAugment
from noisy_lightning.data.loading.sampling import Sampling
from noisy_lightning.data.loading.statistics import measure
from noisy_lightning.data.noise.alignment import OtherLabelsError
from noisy_lightning.data.noise.class_conditional import LabelNoise, NoNoise
from noisy_lightning.data.noise.flip_maps import FlipName
from noisy_lightning.data.noise.redraw import EpochLabels
from noisy_lightning.data.selection import read_selection
from noisy_lightning.data.serving import ServingDataModule
from noisy_lightning.data.sets.sources import Images, Source
from noisy_lightning.data.sets.unread import BrokenList
from noisy_lightning.data.splitting import Validation, split, union, validates
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import UNKNOWN


class NoisyDataModule(ServingDataModule, ABC):
    """Training images with noisy labels, split into training and validation, and clean test images.

    The noise is drawn once, over the whole training set and before the split, from a generator of its own: a seed
    gives the same labels on every machine, rank and run. Validation is a stratified part of the training set that
    keeps its given (noisy) labels, so that what a run monitors needs no clean label.

    After `setup`, N being the size of the whole training set:

    - `labels`, `true_labels` (N,) int64: given labels, and true ones, which are -1 where nobody knows them;
    - `is_clean`, `is_trusted` (N,) bool: where the two agree, false where that is unknown; and where the data set says
      that the given label is right;
    - `is_foreign` (N,) bool: where the image is that of another data set (`OpenSet`); its true label is -2, none of the
      classes, and it is not clean;
    - `train_indices`, `val_indices` (n,) int64, ascending: the split. A sample in neither part is not used: its image
      cannot be read, for example;
    - `candidate_indices`, `rejected_indices` (n,) int64, ascending: samples of the training part that a selection calls
      candidates, and those that it rejects; and `estimated_noise_rate`, its estimate of the share of wrong labels; all
      None without a selection;
    - `noise_hash`: SHA-256 of the given labels, and of which images are foreign if any is.

    With `redraw` per_epoch, all of this, the noise files and validation belong to the first draw, that of epoch 0;
    `epoch_labels` gives the labels of the other epochs.

    Args:
        root: Folder with the data set's files; they are downloaded to it where they are missing.
        noise: How true labels become given ones; none by default.
        batch_size: Samples per optimizer step, over all devices together.
        eval_batch_size: Samples per batch of validation, test and prediction, over all devices together.
        val_fraction: Part of the training set to validate on, in [0, 1); 0 trains on everything.
        validation: `given` validates on what the data set itself keeps for it, or else on val_fraction of each given
            class; `trusted` on the samples whose labels the data set says are right, which are then not trained on;
            `none` on nothing.
        sampling: How many samples of each given class an epoch trains on, where classes differ in size. `natural`: all,
            once. `undersample`: as many of each as the smallest class has, so that most of the others is left out.
            `oversample`: as many of each as the largest has, so that an epoch is longer. `sqrt`: as many in all as
            there are, in proportion to the square roots of the sizes (Mahajan et al., ECCV 2018). Within a class all
            samples come equally often, or some once more than others: these are drawn anew for each epoch. Each time, a
            sample is augmented anew; what is recorded of it is of the last time. A noise rate that a method estimates
            is that of all samples, each once. Methods that remember samples, or count on seeing each once, refuse
            `oversample` and `sqrt`.
        selection: CSV file of the samples to train on, such as `noisy-lightning clean` writes, with the columns
            `index`, `select` and `candidate` (see `read_selection`). Of the training part, only what is selected is
            trained on, and candidates by methods that use them. A file that was made for other labels is refused.
        redraw: `per_epoch` draws the labels to train on anew for each epoch, so that a wrong label cannot be memorized.
            Some course projects do so; the results cannot be compared with papers. Labels depend on seed and epoch.
        seed: Of noise and split, >= 0. Order, augmentation and weights follow seed_everything.
        crop_padding: Zero pixels around an image from which training crops at random; None: as usual for the data set.
        horizontal_flip: Whether training mirrors images at random, each with probability one half; None: as usual for
            the data set.
        augmentation: What training does to images at random, each time anew: a recipe, or a list of recipes that follow
            each other. None: `CropFlip`, no more than what `crop_padding` and `horizontal_flip` say. The others come
            after that, but for `NoAugmentation`, which shows images as they are, and `RandomResizedCrop`, which crops
            otherwise. `PerImage` has any transform of torchvision's or of one's own.
        strong_augmentation: The same for the strong views of an image that some methods ask for beside weak ones; None:
            `RandAugment`.
        mean: Mean per channel, in [0, 1], for normalization; None: that of the network's pretrained weights, else the
            data set's.
        std: Standard deviation per channel, > 0, for normalization; None: likewise.
        workers: 0 keeps all images ready on the training device, or in host memory where they do not fit there; more
            prepares batches in as many processes, for images that do not fit at all.
        download: Whether missing files may be downloaded.
        test_sets: Further data sets by name, whose test images, or all images where no part of them is for tests,
            `test` measures as well. They are resized (bilinear, antialiased) and made gray or colored to have this data
            set's shape. Their classes are found by name, even where they are fewer or in another order; where one of
            the two has numbers for names, class k is class k.
    """

    num_samples: int
    """N, the size of the whole training set."""
    image_shape: tuple[int, int, int]
    """(H, W, C)."""
    pictures: Images
    """(N, H, W, C) uint8 training images as people see them, whatever networks get."""
    has_test_set: bool = True
    """Whether there are test images."""
    in_memory: bool = True
    """Whether all images are kept in memory; otherwise they are files that are decoded a batch at a time."""
    candidate_indices: Tensor | None = None
    rejected_indices: Tensor | None = None
    estimated_noise_rate: float | None = None
    selected_by_oracle: bool = False
    """Whether the selection was made with true labels, which only an experiment knows."""
    default_mean: Sequence[float] | None = None
    """C means in [0, 1] that usually normalize; None: measured on up to 1,000 training images by `setup`."""
    default_std: Sequence[float] | None = None
    """C standard deviations > 0; None: measured as the means are."""
    default_padding: ClassVar[int] = 0
    default_flip: ClassVar[bool] = False
    usual_flips: FlipName | None = None
    """The flips that papers mean by asymmetric noise on this data set; None: nothing is usual."""

    def __init__(
        self,
        root: Path = Path("data"),
        noise: LabelNoise | None = None,
        batch_size: int = 128,
        eval_batch_size: int = 256,
        val_fraction: float = 0.1,
        validation: Validation = "given",
        sampling: Sampling = "natural",
        selection: Path | None = None,
        redraw: Redraw = "once",
        seed: int = 0,
        crop_padding: int | None = None,
        horizontal_flip: bool | None = None,
        augmentation: Recipes = None,
        strong_augmentation: Recipes = None,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        workers: int = 0,
        download: bool = True,
        test_sets: dict[str, "NoisyDataModule"] | None = None,
    ) -> None:
        super().__init__()
        self.root, self.download = Path(root), download
        noise = (noise or NoNoise()).on(self.dataset, self.usual_flips)
        self.noise: LabelNoise = noise.of_images(self.train_names, self.class_names)
        self.batch_size = at_least(1, "batch_size", batch_size)
        self.eval_batch_size = at_least(1, "eval_batch_size", eval_batch_size)
        self.seed = at_least(0, "seed", seed)
        self.workers = at_least(0, "workers", workers)
        if not 0 <= val_fraction < 1:
            raise InputError(f"data.val_fraction must be in [0, 1), got {val_fraction}")
        check_choice("validation", validation, get_args(Validation))
        self.val_fraction, self.validation = val_fraction, validation
        check_choice("sampling", sampling, get_args(Sampling))
        self.sampling = sampling
        self.selection = None if selection is None else Path(selection)
        check_choice("redraw", redraw, get_args(Redraw))
        if redraw == "per_epoch" and sampling != "natural":
            raise InputError("data.redraw per_epoch leaves no class its size: data.sampling must be natural")
        self.redraw = redraw
        padding = self.default_padding if crop_padding is None else at_least(0, "crop_padding", crop_padding)
        flip = self.default_flip if horizontal_flip is None else horizontal_flip
        height, width, channels = self.image_shape
        check_statistics(mean, std, channels)
        self.given_statistics = {name for name, values in (("mean", mean), ("std", std)) if values}
        known = {"mean": mean or self.default_mean, "std": std or self.default_std}
        self._to_measure = [name for name, values in known.items() if values is None]
        until_measured = [0.5] * channels
        self.augmentation = Augmentation(
            height,
            width,
            known["mean"] or until_measured,
            known["std"] or until_measured,
            padding,
            flip,
            weak=recipe_of(augmentation, CropFlip(), "augmentation"),
            strong=recipe_of(strong_augmentation, RandAugment(), "strong_augmentation"),
        )
        self.test_sets = test_sets or {}
        self.test_pictures: dict[str, Images] = {}  # as people see them, by the names of metrics, once there are any
        check_names(self.test_sets)

    def fetch(self) -> None:
        """Verify the files, or download them; nothing to do where a data set comes with a package."""

    def check_images(self) -> None:
        """Read images that training would read late; nothing to do where `load` has read all of them.

        Raises:
            InputError: Images are broken and not to be skipped.
        """

    def list_broken(self, listed: BrokenList) -> None:
        """Have images that cannot be read, those of the other test sets included, listed in a file."""
        for data in self.test_sets.values():
            data.list_broken(listed)

    @property
    def dataset(self) -> str:
        """What the data set is called in what a run leaves."""
        return type(self).__name__

    @abstractmethod
    def load(self, train: bool) -> Source:
        """Return the images and labels of the training or the test set."""

    def load_lazily(self, train: bool) -> Source:
        """Return the same, but open image files when they are asked for: none is known to be broken until then."""
        return self.load(train)

    def served(self, source: Source) -> Source:
        """Return images as networks get them: they themselves, or features of them."""
        return source

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images, whatever networks get."""
        return self.image_shape

    def prepare_data(self) -> None:
        """Prepare the files of all data sets."""
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
        return validates(self.validation, self.val_fraction)

    def setup(self, stage: str | None = None) -> None:
        """Load the images, draw the noise and split; every stage has the same labels.

        Test and prediction begin without the selection, which they do not need: its file may be gone by then.
        """
        if not hasattr(self, "labels"):
            self.source = self.load(train=True)
            self._measure()
            self._draw()
        selection = None if stage in ("test", "predict") else self.selection
        if not hasattr(self, "train_indices") or (selection is not None and self.candidate_indices is None):
            self._split(selection)
        if not self._tests and (stage == "test" or (stage is None and self.has_test_set)):
            for name, source in self._load_tests().items():
                self.test_pictures[name] = source.images
                self._tests[name] = self.served(source)

    def _load_tests(self) -> dict[str, Source]:
        """Return the test images, and those of further data sets as this one's, by the names of their metrics.

        Raises:
            InputError: One of these has classes that this one lacks.
        """
        # Before any image is read, which may take long.
        classes = {
            name: same_classes(name, data.class_names, self.class_names) for name, data in self.test_sets.items()
        }
        tests = {"test": self.load(train=False)}
        if lacking := without_images(tests["test"].labels, self.class_names):
            self._say(f"the test set has no image of {lacking}")
        for name, data in self.test_sets.items():
            if classes[name].remark:
                self._say(classes[name].remark)
            source = data.load(train=not data.has_test_set)
            if not data.has_test_set:
                self._say(f"data.test_sets.{name} has no test part: all of its images are tested, by their labels")
                source = as_test_set(source)
            tests[f"test_{name}"] = adapted(name, source, self.picture_shape, classes[name].numbers)
        return tests

    def train_on_candidates(self, rejected: bool = False) -> None:
        """Add the candidates of the selection, if there is one, to the training part.

        Args:
            rejected: Whether what it rejects counts as candidates, too.
        """
        if self.candidate_indices is None or self.rejected_indices is None:
            return
        if rejected:
            self.candidate_indices = union(self.candidate_indices, self.rejected_indices)
        self.train_indices = union(self.train_indices, self.candidate_indices)

    @property
    def train_names(self) -> Sequence[str] | None:
        """N paths of the training images below their folder; None where they are not files."""
        return None

    @property
    def test_names(self) -> Sequence[str] | None:
        """Paths of the test images below their folder; None where they are not files."""
        return None

    @property
    def test_folder(self) -> Path | None:
        """Folder that `test_names` start from."""
        return None

    def train_images(self, index: Tensor) -> Tensor:
        """Return training images as they are: (n, C, H, W) uint8 for positions (n,)."""
        return self.pictures[index].permute(0, 3, 1, 2)

    def test_images(self, index: Tensor, name: str = "test") -> Tensor:
        """Return test images as they are, after `setup("test")`: (n, C, H, W) uint8 for positions (n,).

        Args:
            index: The positions.
            name: Of the test set, as its metrics are called: `test`, or `test_<name>`.
        """
        return self.test_pictures[name][index].permute(0, 3, 1, 2)

    def features(self) -> Tensor | None:
        """Return what describes the training images (N, V, D): their pixels, uint8; None where they are not in memory.

        A data set of features returns those.
        """
        images = self.source.images
        return images.reshape(len(images), 1, -1) if isinstance(images, Tensor) else None

    def with_images(self) -> "NoisyDataModule":
        """Return a data set that has images for networks and the same labels: itself, if it has."""
        return self

    def label_table(self) -> LabelTable:
        """Return every label and its part, as the noise files hold them."""
        table = LabelTable(self.true_labels, self.labels, self.train_indices, self.val_indices, self._foreign_index)
        if self.source.consensus is None:
            return table
        return replace(table, consensus=self.source.consensus, class_names=self.class_names, paths=self.train_names)

    def noise_summary(self) -> NoiseSummary:
        """Return what noise was asked for and what it came to.

        Where not all true labels are known, those of trusted samples do not count: these were chosen because their
        labels are right.
        """
        table = self.label_table()
        if (self.true_labels == UNKNOWN).any():
            table = replace(table, true_labels=self.true_labels.masked_fill(self.is_trusted, UNKNOWN))
        return summarize(
            None if is_as_found(self.source, self.noise) else self.noise,
            table,
            seed=self.seed,
            num_classes=self.num_classes,
            dataset=self.dataset,
            dataset_checksum=self.source.checksum(),
            foreign_checksum=self._foreign_checksum,
            redraw=self.redraw,
        )

    def _measure(self) -> None:
        """Measure mean and deviation of the training images, where they are neither given nor usual."""
        if self._to_measure:
            measured: dict[str, Any] = measure(self._to_measure, self.source.images, self.source.usable())
            self.augmentation = replace(self.augmentation, **measured)
            self._say(f"measured {', '.join(f'{name} {values}' for name, values in measured.items())}")

    def _draw(self) -> None:
        """Draw the given labels, and put foreign images in their places."""
        try:
            drawn = draw(self.source, self.noise, self.num_classes, self.seed, self.redraw)
        except OtherLabelsError as error:
            raise error.by_name(self.class_names) from None
        self.source, self.labels, self.true_labels = drawn.source, drawn.labels, drawn.true_labels
        self.pictures = self.source.images
        self.is_clean, self.is_trusted, self.is_foreign = drawn.is_clean, drawn.is_trusted, drawn.is_foreign
        self._foreign_index, self._foreign_checksum = drawn.foreign_index, drawn.foreign_checksum
        self.noise_hash = label_hash(self.labels, self._foreign_index, self._foreign_checksum)
        if rare := rare_classes(self.labels[self.source.usable()], self.class_names):
            self._say(rare)

    def _split(self, selection: Path | None) -> None:
        """Split the training set into what is trained on and what is validated on."""
        chosen = None if selection is None else read_selection(selection, self.labels, self.class_names)
        generator = seeded_generator("split", self.seed)
        self.train_indices, self.val_indices, self.candidate_indices, self.rejected_indices = split(
            self.source, self.labels, self.validation, self.val_fraction, chosen, generator, self.dataset
        )
        if self.batch_size > len(self.train_indices):
            count = len(self.train_indices)
            self._say(
                f"data.batch_size {self.batch_size} is more than the {count:,} samples to train on: a step per epoch"
            )
        if chosen is not None:
            self.estimated_noise_rate, self.selected_by_oracle = chosen.noise_rate, chosen.oracle
        if self.redraw == "per_epoch":
            images = pixels(self.source._replace(images=self.pictures))
            true_labels, drawn = self.source.labels, self.train_indices
            self._redrawn = EpochLabels(
                self.noise, true_labels, images, self.num_classes, self.seed, self.labels, drawn
            )

    def _say(self, text: str) -> None:
        if self.trainer is None or self.trainer.is_global_zero:
            print(f"{type(self).__name__}: {text}", file=sys.stderr, flush=True)
