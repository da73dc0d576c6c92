"""Any data set of torch or torchvision."""

from collections.abc import Sequence
from typing import Any, Literal, final

from torch import Tensor

from noisy_lightning.data.arguments import check_image_options, height_and_width
from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.sets.dataset_images import DatasetImages, size_of_first
from noisy_lightning.data.sets.dataset_items import DatasetItems
from noisy_lightning.data.sets.image_files import processors
from noisy_lightning.data.sets.own_labels import numbered_labels, training_groups, training_labels
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError


@final
class FromDataset(NoisyDataModule):
    """Any map-style data set of (image, label), such as torchvision's, for scripts and notebooks.

    An image is a picture of Pillow in any mode, or numbers: uint8, or floating-point in [0, 1]; a tensor (C, H, W) or
    (H, W), or an array (H, W) or (H, W, C), C being 1 or 3. A label is a whole number in [0, K) or the name of a class.

    >>> from PIL import Image
    >>> from noisy_lightning.data import FromDataset
    >>> pictures = [Image.new("RGB", (8, 6), color) for color in ("red", "green", "blue", "white")]
    >>> data = FromDataset(list(zip(pictures, [0, 1, 0, 1])), class_names=["warm", "cold"], validation="none")
    >>> data.setup("fit")
    >>> data.image_shape, data.labels.tolist()
    ((6, 8, 3), [0, 1, 0, 1])

    The data set must come without random transforms and without normalization: training augments and normalizes by
    itself, and images are read once where they fit in memory. They are brought to one size by the shorter side and cut
    from the center.

    Labels are taken from `targets` or `labels` of the data set, or of the one that a `Subset` is taken from, or from a
    `TensorDataset`; where there is no such list, or it has other labels than the items, every item is read once. They
    are the given labels. The true ones are unknown unless `clean` or `true_labels` says otherwise, as in `ImageArrays`.

    Args:
        dataset: The training set: a data set of torch, or a list of pairs.
        test: The test set, whose labels count as true.
        true_labels: (N,) true labels of the training set, of the same kind as its labels; -1, or an empty name, where
            nobody knows the label. None: nobody knows any.
        class_names: K names, by label; None: `classes` of the data set, or else as in `ImageArrays`.
        image_size: Height and width, or one number for both, to which images are brought; None: those of the first
            one, where all of training have the same.
        channels: 3 for color, 1 for gray.
        clean: Whether the labels are known to be right: then `noise` can be drawn from them.
        cache_gib: Most memory in GiB, >= 0, for the images of training and test, which take H·W·C bytes each. Of a
            larger data set, `workers` processes read the items of each batch, or as many as there are processors if
            that is 0.
        groups: (N,) names or numbers of the groups of training images that belong together, as in `ImageArrays`.
        **arguments: Those of every data set; mean and std are measured on up to 1,000 training images if None.

    Raises:
        InputError: The data set is of another kind, or its images or labels are not as they should be.
    """

    def __init__(
        self,
        dataset: Any = None,  # without a default, jsonargparse would say that a configuration lacks something
        test: Any = None,
        true_labels: Any = None,
        class_names: Sequence[str] | None = None,
        image_size: int | list[int] | None = None,
        channels: Literal[1, 3] = 3,
        clean: bool = False,
        cache_gib: float = 8.0,
        groups: Any = None,
        **arguments: Any,
    ) -> None:
        check_image_options(channels, cache_gib)
        items = DatasetItems("data.dataset", dataset)
        height, width = size_of_first(items) if image_size is None else height_and_width(image_size)
        self.image_shape = (height, width, channels)
        self._train = DatasetImages(items, self.image_shape, of_one_size=image_size is None)
        self._train.warn_if_random()
        self._test = None
        if test is not None:
            self._test = DatasetImages(DatasetItems("data.test", test), self.image_shape, of_one_size=False)
        self.num_samples, self.has_test_set = len(self._train), self._test is not None
        self.cache_gib = cache_gib
        self._gib = sum(part.nbytes for part in (self._train, self._test) if part is not None) / 2**30
        self.in_memory = self._gib <= cache_gib
        names = items.class_names() if class_names is None else class_names
        labels = self._train.labels(keep=self.in_memory)
        known = training_labels("data.dataset: labels", labels, true_labels, names, clean, self.num_samples)
        self.class_names, self._given_labels, self._true_labels = known
        self._groups = training_groups(groups, self.num_samples)
        if self._test is not None:
            labels = self._test.labels(keep=self.in_memory)
            self._test_labels = numbered_labels("data.test: labels", labels, self.class_names, len(labels))
        super().__init__(**arguments)
        if not self.in_memory and not self.workers:
            self.workers = processors()

    def load(self, train: bool) -> Source:
        """Return the training or the test set.

        Raises:
            InputError: There is no test set, or an image cannot be used.
        """
        if train:
            source = self._source(self._train, self._true_labels)
            return source._replace(given_labels=self._given_labels, groups=self._groups)
        if self._test is None:
            raise InputError("data.test: there is no test set; only test needs one")
        return self._source(self._test, self._test_labels)

    def _source(self, images: DatasetImages, labels: Tensor) -> Source:
        """Return images, read now where they fit in memory, with their true labels."""
        if self.in_memory:
            return Source(images.kept(), labels)
        self._say(
            f"{self._gib:.1f} GiB of images are more than data.cache_gib {self.cache_gib:g}: {self.workers} processes "
            "read the items of each batch"
        )
        return Source(images, labels, identity=images.checksum(labels))
