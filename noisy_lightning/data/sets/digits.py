"""scikit-learn's handwritten digits."""

from typing import final

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.sets.sources import Source, load_digits8x8


@final
class Digits(NoisyDataModule):
    """scikit-learn's handwritten digits: 1,437 training and 360 test images of 8×8 pixels; needs no files.

    Example:
        >>> from noisy_lightning import noise
        >>> data = Digits(noise=noise.Symmetric(0.4), batch_size=64)
        >>> data.setup("fit")
        >>> data.labels.shape, data.is_clean.shape, len(data.train_indices) + len(data.val_indices)
        (torch.Size([1437]), torch.Size([1437]), 1437)
        >>> batch = next(iter(data.train_dataloader()))
        >>> batch.image.shape, batch.label.shape
        (torch.Size([64, 1, 8, 8]), torch.Size([64]))
    """

    class_names = tuple("0123456789")
    num_samples = 1437
    image_shape = (8, 8, 1)
    default_mean = (0.305,)
    default_std = (0.376,)

    def load(self, train: bool) -> Source:
        """Return the training or the test set."""
        return load_digits8x8(train)
