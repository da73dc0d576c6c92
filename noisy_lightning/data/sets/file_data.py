"""What data sets of image files share: files are listed first and decoded later, and nobody has checked the labels."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from noisy_lightning.data.annotators import Consensus
from noisy_lightning.data.arguments import check_image_options, height_and_width
from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.drawing import check_truth
from noisy_lightning.data.loading.decoding import MEGAPIXELS
from noisy_lightning.data.loading.opening import HEIC_EXTRA, unread_heic
from noisy_lightning.data.loading.recipes.base import CropFlip
from noisy_lightning.data.loading.recipes.in_turn import recipe_of
from noisy_lightning.data.sets.image_files import (
    Decoded,
    ImageFiles,
    decode_all,
    decode_cached,
    processors,
)
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.data.sets.unread import BrokenList, UnreadFiles
from noisy_lightning.errors import InputError

Broken = Literal["error", "skip"]
_RECIPES = ("augmentation", "strong_augmentation")
_ENLARGED = 1.5
"""How much larger images are kept for a recipe that magnifies parts of them."""
_NAMED = 5  # broken images that a message names
_WHY = " cannot be read: "  # what stands before the reason in an error of `decode`


class Listing(NamedTuple):
    """What is known of a training or test set before any image is opened."""

    root: Path
    names: Sequence[str]
    """N paths below it."""
    given_labels: Tensor
    """(N,) int64."""
    true_labels: Tensor
    """(N,) int64; -1 where nobody knows them."""
    validation: Tensor | None = None
    """(N,) bool as in `Source`."""
    trusted: Tensor | None = None
    """(N,) bool as in `Source`."""
    groups: Tensor | None = None
    """(N,) int64 as in `Source`."""
    consensus: Consensus | None = None
    """As in `Source`."""


class Listings(NamedTuple):
    """All that is known of a data set before any image is opened."""

    class_names: Sequence[str]
    """K names, by label."""
    train: Listing
    test: Listing | None


class FileDataModule(NoisyDataModule, ABC):
    """Images in files of any size and kind, brought to one size.

    The files are listed when the object is made and decoded in `setup`: once, by as many threads as there are
    processors, to be kept in memory as one uint8 array like any other data set; or a batch at a time by `workers`,
    where they are too many for that. Images are turned upright by their EXIF orientation, their transparent pixels
    become white, and they are converted to 8 bits.

    The labels that come with the files are the given ones. The true ones are unknown unless `clean` or the data set
    says otherwise: then so is the noise rate, and what needs true labels is not measured.

    Args:
        root: Folder of the files.
        image_size: Height and width, or one number for both, of the images in training: scaled by the shorter side,
            then cut from the center. A recipe that crops and resizes gets images half as large again.
        crop_margin: Pixels, >= 0, by which images are decoded larger on each side: training crops from them at random,
            everything else from the center. It replaces `crop_padding`.
        channels: 3 for color, 1 for gray.
        clean: Whether the labels are known to be right: only then can `noise` be drawn.
        broken: Images that cannot be read: `error` stops and names them, `skip` leaves them out with a warning; the
            others keep their indices. A command lists all of them in `broken_images.csv`: in the folder of its run, or,
            where it stops or is `doctor`, in the present one.
        cache_gib: Most memory in GiB, >= 0, for the decoded images of the training and the test set, which take H·W·C
            bytes each. Larger data sets are decoded anew for each batch by `workers` processes, or as many as there are
            processors if that is 0. Making images ready for crops and flips takes up to twice as much again.
        cache: Folder in which decoded images are kept, so that later runs and the other processes of this one start at
            once; None: nowhere.
        max_megapixels: How large, in a million pixels, > 0, an image may be; larger ones count as broken before they
            are decoded, which takes 16 bytes or more for each pixel. Pillow's own limit is 178.
        **arguments: Those of every data set; mean and std are measured on up to 1,000 training images if None.
    """

    _broken_list: BrokenList | None = None

    def __init__(
        self,
        root: Path,
        image_size: int | list[int] = 224,
        crop_margin: int = 0,
        channels: Literal[1, 3] = 3,
        clean: bool = False,
        broken: Broken = "error",
        cache_gib: float = 8.0,
        cache: Path | None = None,
        max_megapixels: float = MEGAPIXELS,
        **arguments: Any,
    ) -> None:
        height, width = height_and_width(image_size)
        if crop_margin < 0 or (crop_margin and arguments.get("crop_padding")):
            raise InputError(f"data.crop_margin must be at least 0, and 0 with a crop_padding, got {crop_margin}")
        check_image_options(channels, cache_gib)
        if not max_megapixels > 0:
            raise InputError(f"data.max_megapixels must be above 0, got {max_megapixels}")
        self.max_megapixels = max_megapixels
        if broken not in get_args(Broken):
            raise InputError(f"data.broken must be error or skip, got {broken!r}")
        self.root, self.clean, self.broken = Path(root), clean, broken
        self.cache_gib, self.cache = cache_gib, None if cache is None else Path(cache)
        self.image_shape = (height, width, channels)
        self.decoded_shape = (height + 2 * crop_margin, width + 2 * crop_margin, channels)
        if crop_margin:
            arguments["crop_padding"] = crop_margin
        given = [recipe_of(arguments.get(name), CropFlip(), name) for name in _RECIPES]
        if any(recipe.zooms for recipe in given):
            if crop_margin:
                raise InputError("data.crop_margin must be 0 where a random resized crop is cut from the whole image")
            self.decoded_shape = (round(_ENLARGED * height), round(_ENLARGED * width), channels)
        self.unread = UnreadFiles()
        self.class_names, self._train, self._test = self.list_files()
        self._check_heic()
        if len(self.class_names) < 2:
            raise InputError(f"data: {self.root} has one class, {self.class_names[0]!r}, and must have 2 or more")
        self.num_samples, self.has_test_set = len(self._train.names), self._test is not None
        super().__init__(self.root, download=False, **arguments)
        if any(recipe.zooms for recipe in given):
            self.augmentation = replace(self.augmentation, kept=self.decoded_shape[:2])
        self.validates_by_itself = self._train.validation is not None
        if self._train.validation is not None:
            self.val_fraction = self._train.validation.double().mean().item()
        self._gib = sum(self._files(listing).nbytes for listing in self._listings()) / 2**30
        self.in_memory = self._gib <= self.cache_gib
        if not self.in_memory and not self.workers:
            self.workers = processors()

    @abstractmethod
    def list_files(self) -> Listings:
        """Return which images there are, in the order of their indices, and what they are called.

        Raises:
            InputError: They are not as they should be, or lie outside their folder.
        """

    @property
    def train_names(self) -> Sequence[str]:
        """N paths of the training images below their folder."""
        return self._train.names

    @property
    def test_folder(self) -> Path | None:
        """Folder of the test images; None: there are none."""
        return None if self._test is None else self._test.root

    @property
    def test_names(self) -> Sequence[str] | None:
        """Paths of the test images below their folder."""
        return None if self._test is None else self._test.names

    def fetch(self) -> None:
        """Decode into the cache, where the other processes find it."""
        if self.cache is not None and self.in_memory:
            for listing in self._listings():
                decode_cached(self._files(listing), self.cache)

    def list_broken(self, listed: BrokenList) -> None:
        """Have images that cannot be read listed in a file."""
        super().list_broken(listed)
        self._broken_list = listed

    def check_images(self) -> None:
        """Decode all images once where a broken one would stop training when its turn comes.

        Raises:
            InputError: Images are broken.
        """
        if self.in_memory or self.broken == "skip":
            return
        for listing in self._listings():
            files = self._files(listing)
            self._report(decode_all(files, keep=False).broken, files)

    def load(self, train: bool) -> Source:
        """Return the training or the test set.

        Raises:
            InputError: There is no test set, images are broken, or labels cannot be drawn.
        """
        source = self.load_lazily(train)
        if train:
            check_truth(source, self.noise)  # before all images are decoded, which may take minutes
        assert isinstance(source.images, ImageFiles)
        images, reasons = self._decoded(source.images)
        broken = self.broken_images(reasons, source.images)
        return source._replace(images=source.images if images is None else images, broken=broken)

    def load_lazily(self, train: bool) -> Source:
        """Return the training or the test set, whose files are opened when an image is asked for.

        Raises:
            InputError: There is no test set.
        """
        listing = self._train if train else self._test
        if listing is None:
            raise InputError(f"data.root: {self.root} has no test images; only test needs them")
        if train:
            self._say_what_is_not_read()
        files = self._files(listing)
        return Source(
            files,
            listing.true_labels,
            listing.given_labels,
            None,
            listing.validation,
            listing.trusted,
            files.checksum(),
            listing.groups,
            listing.consensus,
        )

    def _listings(self) -> list[Listing]:
        return [self._train] if self._test is None else [self._train, self._test]

    def shape_of(self, listing: Listing) -> tuple[int, int, int]:
        """Return (H', W', C) to which the images of a set are decoded: larger than networks get them to crop from."""
        return self.image_shape if listing is self._test and self.augmentation.kept else self.decoded_shape

    def _files(self, listing: Listing) -> ImageFiles:
        return ImageFiles(listing.root, listing.names, self.shape_of(listing), self.max_megapixels)

    def _decoded(self, files: ImageFiles) -> Decoded:
        """Decode what fits in memory; of what doesn't, find out what is broken if it shall be left out."""
        if not self.in_memory:
            self._say(
                f"{self._gib:.1f} GiB of images are more than data.cache_gib {self.cache_gib:g}: {self.workers} "
                "processes decode each batch"
            )
            return decode_all(files, keep=False) if self.broken == "skip" else Decoded(None, {})
        height, width, _ = files.image_shape
        self._say(f"{len(files):,} images of {height}×{width} take {files.nbytes / 2**20:,.1f} MiB of memory")
        return decode_all(files) if self.cache is None else decode_cached(files, self.cache)

    def broken_images(self, reasons: dict[int, str], files: ImageFiles) -> Tensor:
        """Return (N,) bool that is true for images that cannot be read, and say which.

        Args:
            reasons: Why an image cannot be read, by its position.
            files: All N.

        Raises:
            InputError: They are not to be skipped, or there are no others.
        """
        self._report(reasons, files)
        broken = torch.zeros(len(files), dtype=torch.bool)
        broken[list(reasons)] = True
        return broken

    def _report(self, reasons: dict[int, str], files: ImageFiles) -> None:
        """Say which images cannot be read."""
        if not reasons:
            return
        named = "; ".join(list(reasons.values())[:_NAMED]) + "; …" * (len(reasons) > _NAMED)
        stops = self.broken == "error" or len(reasons) == len(files)
        if self._broken_list is not None:
            # An error ends a run, and its folder with it: its list is left in the present one.
            listed = BrokenList(Path()) if stops else self._broken_list
            why = {str(files.root / files.names[one]): text.partition(_WHY)[2] for one, text in reasons.items()}
            named += f"; all are {listed.add(why)}"
        if stops:
            raise InputError(
                f"data.root: {len(reasons)} of {len(files)} images are broken; replace or remove them, or leave them "
                f"out by data.broken skip: {named}"
            )
        warnings.warn(f"{len(reasons)} of {len(files)} images are broken and left out: {named}", stacklevel=2)

    def _say_what_is_not_read(self) -> None:
        if not (text := str(self.unread)):
            return
        if self.unread.heic and self._broken_list is not None:
            why = f"it is HEIC, which needs {HEIC_EXTRA}"
            text += f"; those of HEIC are {self._broken_list.add(dict.fromkeys(self.unread.heic, why))}"
        self._say(text)

    def _check_heic(self) -> None:
        """Refuse images that a table names and nothing here reads, before one of them has its turn."""
        if self.broken == "error" and (names := [name for one in self._listings() for name in unread_heic(one.names)]):
            raise InputError(
                f"data.root: {len(names)} images are HEIC, such as {names[0]}: {HEIC_EXTRA} makes them readable, "
                "data.broken skip leaves them out"
            )
