"""MNIST."""

from typing import final

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.sets.sources import Source, fetch_mnist, load_mnist


@final
class MNIST(NoisyDataModule):
    """MNIST (LeCun et al., 1998): 60,000 training and 10,000 test images of 28×28 pixels in 10 classes.

    Example:
        >>> from noisy_lightning import noise
        >>> data = MNIST(noise=noise.Symmetric(0.5))  # the files are read when a run begins
        >>> data.num_classes, data.image_shape
        (10, (28, 28, 1))
    """

    class_names = tuple("0123456789")
    num_samples = 60_000
    image_shape = (28, 28, 1)
    default_mean = (0.1307,)
    default_std = (0.3081,)
    usual_flips = "mnist"

    def fetch(self) -> None:
        """Verify the files, or download them."""
        fetch_mnist(self.root, self.download)

    def load(self, train: bool) -> Source:
        """Return the training or the test set."""
        return load_mnist(self.root, train)
