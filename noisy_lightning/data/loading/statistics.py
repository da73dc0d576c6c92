"""What images are normalized by: mean and standard deviation per channel."""

from collections.abc import Sequence

import torch
from torch import Tensor

from noisy_lightning.data.sets.sources import Images

_MEASURED = 1000  # images that mean and deviation are taken from
_AT_ONCE = 32  # images that are turned into float64 at once
_FEATURES_AT_ONCE = 1024
_CONSTANT = 1e-6  # a deviation that is none, but for rounding


def measure(names: Sequence[str], images: Images, usable: Tensor) -> dict[str, list[float]]:
    """Return the statistics that are asked for: `mean`, `std` or both, as `channel_statistics` measures them."""
    measured = dict(zip(("mean", "std"), channel_statistics(images, usable), strict=True))
    return {name: measured[name] for name in names}


def feature_statistics(features: Tensor, usable: Tensor) -> tuple[list[float], list[float]]:
    """Measure mean and standard deviation of each feature over images and views.

    Args:
        features: (N, V, D).
        usable: (n,) positions that count.

    Returns:
        D means and D deviations > 0; a feature without any has deviation 1.
    """
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for part in torch.split(usable, _FEATURES_AT_ONCE):
        values = features[part].flatten(0, 1).double()
        count += len(values)
        total, squares = total + values.sum(0), squares + values.square().sum(0)
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    return mean.tolist(), torch.where(std > _CONSTANT, std, 1.0).tolist()


def channel_statistics(images: Images, usable: Tensor) -> tuple[list[float], list[float]]:
    """Measure mean and standard deviation per channel, on up to 1,000 images that are spread evenly.

    Args:
        images: (N, H, W, C) uint8.
        usable: (n,) positions, ascending, of the images that can be read; at least one.

    Returns:
        C means in [0, 1] and C deviations > 0, rounded to four digits.
    """
    chosen = usable[torch.linspace(0, len(usable) - 1, min(len(usable), _MEASURED)).round().long()]
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for part in torch.split(chosen, _AT_ONCE):
        pixels = images[part].flatten(0, 2).double() / 255
        count += len(pixels)
        total, squares = total + pixels.sum(0), squares + pixels.square().sum(0)
    mean = total / count
    # Images of a single color have no deviation to divide by.
    std = (squares / count - mean.square()).clamp(min=(1 / 255) ** 2).sqrt()
    return [round(value, 4) for value in mean.tolist()], [round(value, 4) for value in std.tolist()]
