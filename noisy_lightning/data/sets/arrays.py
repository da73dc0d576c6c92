"""Your own images in arrays."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.data.adapting import reshaped
from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.loading.decoding import CHANNELS
from noisy_lightning.data.sets.own_labels import numbered_labels, training_groups, training_labels
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError


@final
class ImageArrays(NoisyDataModule):
    """Your own images in arrays, for scripts and notebooks: a configuration file cannot hold them.

    The labels are the given ones. The true ones are unknown unless `clean` or `true_labels` says otherwise: then so is
    the noise rate, and what needs true labels is not measured. Noise is drawn from true labels, so that it needs them.

    >>> import numpy as np
    >>> from noisy_lightning.data import ImageArrays, noise
    >>> images, labels = np.zeros((20, 8, 8, 3), dtype=np.uint8), ["cat", "dog"] * 10
    >>> data = ImageArrays(images, labels, clean=True, noise=noise.Symmetric(0.4))
    >>> data.setup("fit")
    >>> data.class_names, data.image_shape, len(data.train_indices), len(data.val_indices)
    (['cat', 'dog'], (8, 8, 3), 18, 2)

    Args:
        images: uint8, numpy array or torch tensor: (N, H, W, C), (N, H, W) or (N, C, H, W), C being 1 or 3. Where both
            the second and the last size are 1 or 3, it is ambiguous which of the two counts channels: such images are
            refused. They are not copied, so leave them as they are.
        labels: (N,) whole numbers in [0, K), or class names: an array, a tensor or a list.
        true_labels: The same, with -1, or an empty name, where nobody knows the label; None: nobody knows any.
        test: Pair of test images and their labels, which count as true. Images of another shape are resized (bilinear,
            antialiased) and made gray or colored to have that of the training images.
        class_names: K names, by label; None: the names that occur, whole numbers in their order before others in
            theirs, or the numbers 0 to K-1, each of which must occur then.
        clean: Whether the labels are known to be right: then `noise` can be drawn from them.
        groups: (N,) names or numbers of the groups of training images that belong together, such as those of a patient,
            a burst or a video; "", None or -1 where an image is in none. None: there are no groups.
        **arguments: Those of every data set; mean and std are measured on up to 1,000 training images if None.

    Raises:
        InputError: Images or labels are not as they should be.
    """

    def __init__(
        self,
        images: Any = None,  # without a default, jsonargparse would say that a configuration lacks something
        labels: Any = None,
        true_labels: Any = None,
        test: Any = None,
        class_names: Sequence[str] | None = None,
        clean: bool = False,
        groups: Any = None,
        **arguments: Any,
    ) -> None:
        self._images = as_images("data.images", images)
        self.num_samples, self.has_test_set = len(self._images), test is not None
        self.image_shape = _shape(self._images)
        known = training_labels("data.labels", labels, true_labels, class_names, clean, self.num_samples)
        self.class_names, self._given_labels, self._true_labels = known
        self._groups = training_groups(groups, self.num_samples)
        if test is not None:
            if not isinstance(test, tuple | list) or len(test) != 2:
                raise InputError(f"data.test must be a pair of images and labels, got {type(test).__name__}")
            self._test_images = as_images("data.test", test[0])
            self._test_labels = numbered_labels("data.test: labels", test[1], self.class_names, len(self._test_images))
        super().__init__(**arguments)

    def load(self, train: bool) -> Source:
        """Return the training or the test set.

        Raises:
            InputError: There is no test set.
        """
        if train:
            return Source(self._images, self._true_labels, self._given_labels, groups=self._groups)
        if not self.has_test_set:
            raise InputError("data.test: there are no test images; only test needs them")
        images = self._test_images
        same = _shape(images) == self.image_shape
        return Source(images if same else reshaped(images, self.image_shape), self._test_labels)


def as_images(key: str, images: object) -> Tensor:
    """Return images as (N, H, W, C) uint8 that share their memory with what was given where they can.

    Args:
        key: What the user calls them.
        images: As `ImageArrays` takes them.

    Raises:
        InputError: They are something else.
    """
    if isinstance(images, tuple | list):
        raise InputError(
            f"{key} must be one array or tensor, got a {type(images).__name__}: numpy.stack makes one of arrays of one "
            "shape; FromDataset(list(zip(images, labels))) takes pictures of Pillow and images of several sizes"
        )
    if not isinstance(images, Tensor | np.ndarray):
        found = "nothing" if images is None else type(images).__name__
        raise InputError(
            f"{key} must be an array or a tensor, got {found}: ImageArrays is made in Python, since a configuration "
            "file holds no images; ImageFolder and ImageTable take files"
        )
    if str(images.dtype).removeprefix("torch.") != "uint8":
        raise InputError(
            f"{key} must be uint8, got {images.dtype}: scale them to 0 … 255, as (images * 255).round() does with "
            "numbers in [0, 1], and convert them by .astype('uint8') or .to(torch.uint8)"
        )
    shape = tuple(images.shape)
    if len(shape) not in (3, 4) or 0 in shape:
        raise InputError(f"{key} must be (N, H, W, C), (N, H, W) or (N, C, H, W), none of them 0, got {shape}")
    tensor = _shared(images)
    if len(shape) == 3:
        return tensor.unsqueeze(3)
    is_first, is_last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if is_first and is_last:
        raise InputError(f"{key} of shape {shape} can be read as (N, H, W, C) and as (N, C, H, W): resize or pad them")
    if not (is_first or is_last):
        raise InputError(f"{key} must have 1 or 3 channels, as the second or the last size, got {shape}")
    return tensor if is_last else tensor.permute(0, 2, 3, 1)


def _shared(images: Tensor | np.ndarray) -> Tensor:
    """Return a tensor on the same memory, or on a copy where torch cannot have it."""
    if isinstance(images, Tensor):
        return images.detach().cpu()
    usable = images.flags.writeable and min(images.strides) >= 0
    return torch.from_numpy(images if usable else images.copy())


def _shape(images: Tensor) -> tuple[int, int, int]:
    """Return (H, W, C) of images (N, H, W, C)."""
    _, height, width, channels = images.shape
    return height, width, channels
