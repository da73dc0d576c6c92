"""Bringing images of one data set to the shape of another's."""

from collections.abc import Sequence

from torch import Tensor

from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError

_NAMED = 5  # classes that a message names


def check_same_classes(name: str, found: Sequence[str], expected: Sequence[str]) -> None:
    """Check that class k of a test set can be class k of a data set.

    Args:
        name: Of the test set, in `data.test_sets`.
        found: Names of its classes.
        expected: Names of the classes of the data set.

    Raises:
        InputError: There are fewer or more, and they are not the first ones by their names.
    """
    if len(found) != len(expected) and list(found) != list(expected[: len(found)]):
        raise InputError(
            f"data.test_sets.{name} must have the {len(expected)} classes of the data set, {_listed(expected)}, in "
            f"this order, and has {len(found)}: {_listed(found)}"
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", …" * (len(names) > _NAMED)


def adapted(name: str, source: Source, image_shape: tuple[int, int, int], num_classes: int) -> Source:
    """Bring the test images of another data set to the shape of this one's.

    Args:
        name: Of the test set, in `data.test_sets`.
        source: The test set.
        image_shape: (H, W, C) of this data set's images.
        num_classes: K, the classes of this data set.

    Raises:
        InputError: The test set has further classes, or other images that are not in memory.
    """
    if source.labels.max() >= num_classes:
        raise InputError(f"data.test_sets.{name} has classes beyond the {num_classes} of this data set")
    if tuple(source.images.shape[1:]) == image_shape:
        return source
    if not isinstance(source.images, Tensor):
        raise InputError(
            f"data.test_sets.{name}: image_size must be {list(image_shape[:2])} as here, or cache_gib larger"
        )
    return source._replace(images=reshaped(source.images, image_shape))


def reshaped(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Return images (N, H, W, C) uint8 in another shape (H', W', C'), C and C' being 1 or 3.

    Sizes change by antialiased bilinear interpolation; gray becomes color by repetition, color gray by the weights of
    ITU-R 601.
    """
    from torchvision.transforms.v2 import functional  # noqa: PLC0415  # nothing else needs it

    height, width, channels = shape
    moved = images.permute(0, 3, 1, 2)
    if channels != images.shape[3]:
        moved = functional.rgb_to_grayscale(moved) if channels == 1 else moved.expand(-1, channels, -1, -1)
    resized: Tensor = functional.resize(moved, [height, width], antialias=True)
    return resized.permute(0, 2, 3, 1).contiguous()
