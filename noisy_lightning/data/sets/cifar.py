"""CIFAR-10 and CIFAR-100."""

from pathlib import Path
from typing import Any, Literal, final

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.sets.cifar100_classes import CLASS_NAMES, SUPERCLASSES
from noisy_lightning.data.sets.sources import Source, fetch_cifar10, fetch_cifar100, load_cifar10, load_cifar100
from noisy_lightning.errors import InputError


@final
class CIFAR10(NoisyDataModule):
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32×32 pixels in 10 classes.

    Training crops from 4 pixels of padding and mirrors. Images are normalized by the usual constants, as in papers on
    label noise, although their deviations are those of single images, smaller than the data set's.

    Example:
        >>> from noisy_lightning import noise
        >>> data = CIFAR10(noise=noise.Asymmetric(0.4), batch_size=128)  # the files are read when a run begins
        >>> data.num_classes, data.num_samples, data.image_shape
        (10, 50000, (32, 32, 3))
    """

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    num_samples = 50_000
    image_shape = (32, 32, 3)
    default_mean = (0.4914, 0.4822, 0.4465)
    default_std = (0.2023, 0.1994, 0.2010)
    default_padding = 4
    default_flip = True
    usual_flips = "cifar10"

    def fetch(self) -> None:
        """Verify the files, or download them."""
        fetch_cifar10(self.root, self.download)

    def load(self, train: bool) -> Source:
        """Return the training or the test set."""
        return load_cifar10(self.root, train)


@final
class CIFAR100(NoisyDataModule):
    """CIFAR-100 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32×32 pixels in 100 classes.

    Training crops from 4 pixels of padding and mirrors. Images are normalized by the usual constants.

    Args:
        root: Folder with the data set's files; they are downloaded to it where they are missing.
        labels: `fine` for the 100 classes, or `coarse` for their 20 superclasses.
        **arguments: Those of every data set.

    Example:
        >>> CIFAR100(labels="coarse").num_classes
        20
    """

    class_names = CLASS_NAMES
    num_samples = 50_000
    image_shape = (32, 32, 3)
    default_mean = (0.5071, 0.4867, 0.4408)
    default_std = (0.2675, 0.2565, 0.2761)
    default_padding = 4
    default_flip = True

    def __init__(self, root: Path = Path("data"), labels: Literal["fine", "coarse"] = "fine", **arguments: Any) -> None:
        if labels not in ("fine", "coarse"):
            raise InputError(f"data.labels must be fine or coarse, got {labels!r}")
        super().__init__(root, **arguments)
        # Not kept under the argument's name, which is that of the given labels.
        self.coarse = labels == "coarse"
        if self.coarse:
            self.class_names = tuple(SUPERCLASSES)

    def fetch(self) -> None:
        """Verify the files, or download them."""
        fetch_cifar100(self.root, self.download)

    def load(self, train: bool) -> Source:
        """Return the training or the test set."""
        return load_cifar100(self.root, train, self.coarse)
