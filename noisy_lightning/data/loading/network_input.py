"""One image as a network takes it: by the same steps as training and test images, described by plain data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisy_lightning.data.loading.augment import Augmentation, WindowStore
from noisy_lightning.data.loading.decoding import decode, to_pixels
from noisy_lightning.errors import InputError


def to_input(
    image: object, image_shape: Sequence[int], mean: Sequence[float], std: Sequence[float], crop_margin: int = 0
) -> Tensor:
    """Turn an image of any kind and size into what a network takes, exactly as a data set does with test images.

    It becomes uint8 pixels by the steps of `decode`: upright, transparent pixels white, gray or colored, brought to
    the size by its shorter side and cut from the center. These are then normalized. An image that has the size already
    keeps its pixels.

    Args:
        image: The path of a file; a picture of Pillow; or numbers as `to_pixels` takes them, (H, W), (H, W, C) or
            (C, H, W), uint8 or floating-point in [0, 1].
        image_shape: (H, W, C) that the network takes, C being 1 or 3.
        mean: C means, in [0, 1].
        std: C standard deviations, > 0.
        crop_margin: Pixels, >= 0, by which it is made larger on each side at first and which are cut off again: that of
            image files in training.

    Returns:
        (C, H, W) float32.

    Raises:
        InputError: It cannot be read, or is none of these.
    """
    height, width, channels = image_shape
    shape = (height + 2 * crop_margin, width + 2 * crop_margin, channels)
    pixels = decode(Path(image), shape) if isinstance(image, str | Path) else to_pixels(image, shape)
    augmentation = Augmentation(height, width, mean, std, crop_margin)
    store = WindowStore(torch.tensor(pixels).unsqueeze(0), augmentation)
    return store.read(torch.zeros(1, dtype=torch.int64), augmentation.center_offsets(1)).squeeze(0)


def describe_inputs(
    class_names: Sequence[str], augmentation: Augmentation, images_shape: Sequence[int]
) -> dict[str, Any]:
    """Return what a checkpoint needs so that its network can be used without the data set.

    Args:
        class_names: K names, by label.
        augmentation: How the data set makes inputs of its images.
        images_shape: (N, H', W', C) of the images that it keeps, which may be larger than those of the network.

    Returns:
        Plain data: `class_names`, and all arguments of `to_input` but the image.
    """
    a = augmentation
    return {
        "class_names": [str(name) for name in class_names],
        "image_shape": [a.height, a.width, images_shape[3]],
        "mean": [float(value) for value in a.mean],
        "std": [float(value) for value in a.std],
        "crop_margin": (images_shape[1] - a.window[0]) // 2,
    }


def check_image_shape(trained: Mapping[str, Any], served: Mapping[str, Any]) -> None:
    """Check that images are served in the shape that a network was trained on.

    Args:
        trained: What `describe_inputs` returned for the network.
        served: What it returns for the images.

    Raises:
        InputError: They are not.
    """
    shapes = ["×".join(map(str, one["image_shape"])) for one in (trained, served)]
    if shapes[0] != shapes[1]:
        raise InputError(f"data.image_size: the weights were trained on images of {shapes[0]}, these are {shapes[1]}")
    if trained.get("crop_margin", margin := served["crop_margin"]) != margin:
        raise InputError(
            f"data.crop_margin: the weights were trained on images with {trained['crop_margin']}, these have {margin}"
        )
