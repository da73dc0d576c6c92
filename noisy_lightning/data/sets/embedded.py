"""Any data set as a frozen network sees it."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from noisy_lightning.data.adapting import reshaped
from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.drawing import check_truth
from noisy_lightning.data.loading.network_input import describe_inputs
from noisy_lightning.data.loading.recipes.base import CropFlip
from noisy_lightning.data.loading.statistics import feature_statistics
from noisy_lightning.data.noise.class_conditional import NoNoise
from noisy_lightning.data.sets.embedding import Embedding, frozen_network
from noisy_lightning.data.sets.feature_cache import FeatureCache
from noisy_lightning.data.sets.file_data import FileDataModule
from noisy_lightning.data.sets.image_files import ImageFiles
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.data.sets.unread import BrokenList
from noisy_lightning.errors import InputError
from noisy_lightning.types import View

# What belongs to the outer data set, with what the inner one has where nobody sets it.
_OUTER: dict[str, Any] = {
    "sampling": "natural",
    "selection": None,
    "redraw": "once",
    "seed": 0,
    "test_sets": {},
    "validation": "given",
}
_OUTER_ATTRIBUTES = (*_OUTER, "noise", "val_fraction", "batch_size", "eval_batch_size")
_NOT_OF_FEATURES = (
    *("root", "crop_padding", "horizontal_flip", "augmentation", "strong_augmentation", "mean", "std"),
    "download",
)


@final
class Embedded(NoisyDataModule):
    """Any data set as a frozen network sees it: its images become features, computed once and kept in a file.

    Everything that trains on images trains on features, in seconds: a feature is an image of shape (D, 1, 1), for the
    backbones `Linear` and `MLP`. Labels, noise, split and hashes are those of the images, so that a selection made on
    features can be trained on with the images, and the other way round. Noise that depends on images sees the images.

    The features are float16, standardized by mean and deviation of all training images. They lie in
    `features_<hash>.npy` in the folder of the data set, where later runs find them: 50,000 images of 1,984 features
    take 200 MB. The hash covers images, weights and preprocessing. An interrupted computation goes on where it stopped.

    Args:
        data: The data set. Noise, split, seed, sampling and test sets are given to `Embedded`, not to it.
        network: What looks at the images, such as `Timm` with weights.
        stages: Of how many of the network's last stages the outputs, averaged over the image, stand beside the final
            features, >= 0: what tells classes of other images apart may lie less deep. For networks of timm.
        views: V >= 1, how many views of an image there are: itself, its mirror image, random crops. Training takes one
            of them at random, everything else the first. Methods that take two views of an image need two or more.
        cache: Folder of the file with the features; None: `root` of the data set.
        **arguments: Those of every data set but `root`, `download`, `mean`, `std` and augmentation.

    Raises:
        InputError: `data` sets what belongs here, or the network takes no such images.

    Example:
        >>> from noisy_lightning import backbones, noise
        >>> data = Embedded(Digits(), backbones.SmallCNN, stages=0, noise=noise.Symmetric(0.4), cache=Path("features"))
        >>> data.prepare_data()
        >>> data.setup("fit")
        >>> data.image_shape, data.train_images(torch.arange(2)).shape
        ((1, 1, 64), torch.Size([2, 1, 8, 8]))
    """

    def __init__(
        self,
        data: NoisyDataModule,
        network: Callable[[int, int], nn.Module],
        stages: int = 4,
        views: int = 1,
        cache: Path | None = None,
        **arguments: Any,
    ) -> None:
        _check(data, arguments)
        if stages < 0 or views < 1:
            raise InputError(f"data.stages must be at least 0 and data.views at least 1, got {stages} and {views}")
        self.data, self.stages, self.views = data, stages, views
        self.cache = Path(data.root if cache is None else cache)
        self.class_names, self.num_samples = data.class_names, data.num_samples
        self.has_test_set, self.usual_flips = data.has_test_set, data.usual_flips
        made = frozen_network(network, data.num_classes, data.in_channels)
        if stages and not hasattr(made, "embed"):
            raise InputError(f"data.stages must be 0 for {type(made).__name__}, which has no stages")
        inputs = getattr(made, "inputs", None)
        mean = inputs.mean if inputs is not None else data.augmentation.mean
        std = inputs.std if inputs is not None else data.augmentation.std
        self._embedding = Embedding(made, mean, std, stages, views)
        try:
            self.image_shape = (1, 1, self._embedding.width(data.image_shape))
        except (RuntimeError, ValueError) as error:
            raise InputError(f"data.network: {' '.join(str(error).split())}") from error
        super().__init__(data.root, download=data.download, **arguments)
        if isinstance(data, FileDataModule) and data.validates_by_itself:
            self.val_fraction = data.val_fraction
        self.augmentation = replace(self.augmentation, stored_views=views, weak=CropFlip(), strong=CropFlip())
        self.given_statistics = {"mean", "std"}  # those of features, which no pretrained network knows better

    @property
    def dataset(self) -> str:
        """What the inner data set is called."""
        return self.data.dataset

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the images."""
        return self.data.image_shape

    @property
    def train_names(self) -> Sequence[str] | None:
        """N paths of the training images below their folder; None where they are not files."""
        return self.data.train_names

    @property
    def test_names(self) -> Sequence[str] | None:
        """M paths of the test images below their folder; None where they are not files."""
        return self.data.test_names

    @property
    def test_folder(self) -> Path | None:
        """Folder of the test images, where they are files."""
        return self.data.test_folder

    def with_images(self) -> NoisyDataModule:
        """Return the inner data set with the noise, split, seed and sampling of this one."""
        data = copy.copy(self.data)
        for name in _OUTER_ATTRIBUTES:
            setattr(data, name, getattr(self, name))
        return data

    def fetch(self) -> None:
        """Verify the files, or download them."""
        self.data.fetch()

    def list_broken(self, listed: BrokenList) -> None:
        """Have images that cannot be read listed in a file."""
        super().list_broken(listed)
        self.data.list_broken(listed)

    def check_images(self) -> None:
        """Nothing is read late: all images have been looked at once their features are there."""

    def load(self, train: bool) -> Source:
        """Return the images and labels of the training or the test set.

        Raises:
            InputError: Labels cannot be drawn.
        """
        if isinstance(self.noise, NoNoise) or not train:
            return self.data.load_lazily(train)
        if isinstance(self.data, FileDataModule):
            check_truth(self.data.load_lazily(train), self.noise)
        return self.data.load(train)  # noise that looks at images, or replaces some, needs them in memory

    def serve_views(self, views: Sequence[View]) -> None:
        """Have each image of a training batch served in so many of its stored views, of whichever kind.

        Raises:
            InputError: Fewer views of it are stored.
        """
        if len(views) > self.views:
            raise InputError(
                f"data.views must be at least {len(views)}, as many as the method takes of an image, got {self.views}"
            )
        super().serve_views(views)

    def served(self, source: Source) -> Source:
        """Return the features of images, computed now where no file has them."""
        return self._embedded(source, "test images", "")

    def features(self) -> Tensor:
        """Return the features (N, V, D) float16 of the training images, as they are kept."""
        assert isinstance(self.source.images, Tensor)
        return self.source.images.squeeze(1)

    def state_dict(self) -> dict[str, Any]:
        """Return what identifies the labels, and what turns an image into features, but for the network itself."""
        kept = super().state_dict()
        own = kept["inputs"]
        inner = replace(self.data.augmentation, mean=self._embedding.mean, std=self._embedding.std)
        inputs = describe_inputs(self.class_names, inner, self.pictures.shape)
        inputs["features"] = {"mean": own["mean"], "std": own["std"], "stages": self.stages}
        return kept | {"inputs": inputs}

    def _measure(self) -> None:
        """Nothing: it is the features that are measured, once there are some."""

    def _draw(self) -> None:
        """Draw the labels with the images, then put the features in their place."""
        super()._draw()
        foreign = "" if self._foreign_index is None else f"{self._foreign_checksum} {self._foreign_index.tolist()}"
        self.source = self._embedded(self.source, "training images", foreign)
        mean, std = feature_statistics(self.features(), self.source.usable())
        self.augmentation = replace(self.augmentation, mean=mean, std=std)

    def _embedded(self, source: Source, named: str, foreign: str) -> Source:
        images = source.images
        identity = images.checksum(place=True) if isinstance(images, ImageFiles) else source.checksum()
        if tuple(images.shape[1:]) != self.data.image_shape and isinstance(images, Tensor):
            images = reshaped(images, self.data.image_shape)
        key = f"{identity} {foreign} {self._embedding.key(images.shape[1:])}"
        shape = (len(images), self.views, self.image_shape[2])
        cache = FeatureCache(self.cache, key, shape)
        features, reasons = cache.get(lambda blocks: self._embedding(images, blocks, named))
        broken = source.broken
        if isinstance(self.data, FileDataModule) and isinstance(images, ImageFiles):
            broken = self.data.broken_images(reasons, images)
        return source._replace(images=features.unsqueeze(1), broken=broken, identity=source.checksum())


def _check(data: NoisyDataModule, arguments: dict[str, Any]) -> None:
    """Check that what belongs to the outer data set is not given to the inner one, nor the other way round.

    Raises:
        InputError: It is.
    """
    if isinstance(data, Embedded):
        raise InputError("data.data must be a data set of images, got one of features")
    for name in _NOT_OF_FEATURES:
        if arguments.get(name) not in (None, True if name == "download" else None):
            raise InputError(f"data.{name} must be left out: features have none; data.data may have one")
    inner = [name for name, usual in _OUTER.items() if getattr(data, name) != usual]
    inner += [] if isinstance(data.noise, NoNoise) else ["noise"]
    if isinstance(data, FileDataModule) and data.decoded_shape != data.image_shape:
        raise InputError("data.data must have no crop_margin and crop nothing: a frozen network sees whole images")
    if inner:
        raise InputError(f"data.data.{inner[0]} must be left out: give it as data.{inner[0]}")
