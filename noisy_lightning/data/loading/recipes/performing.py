"""Operations drawn at random: which ones, how strong, for each image of a batch."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.data.loading.recipes import operations


class Range(NamedTuple):
    """How strong an operation may be: at level 0 and at level 1, and linearly between."""

    least: float = 0.0
    most: float = 0.0
    signed: bool = False
    """Whether it goes either way, with equal probability."""
    offset: float = 0.0
    """Added once the sign is there: 1 for factors."""
    whole: Literal["", "rounded", "toward zero"] = ""
    """How it becomes a whole number, if it does."""


def strengths(ranges: Sequence[Range], chosen: Tensor, level: Tensor, negative: Tensor) -> Tensor:
    """Return how strong operations (B,) are, float64.

    Args:
        ranges: M of them.
        chosen: (B,) which one, in [0, M).
        level: (B,) in [0, 1].
        negative: (B,) bool, whether one that goes either way is negative.
    """
    # In numpy: on so few numbers, what torch spends on each of many operations is most of the time.
    least, span, signed, offset, rounded, cut = _columns(tuple(ranges))[:, chosen.numpy()]
    strength = least + span * level.numpy()
    strength = np.where(rounded, np.rint(strength), np.where(cut, np.trunc(strength), strength))
    return torch.from_numpy(offset + np.where((signed > 0) & negative.numpy(), -strength, strength))


@lru_cache
def _columns(ranges: tuple[Range, ...]) -> operations.Floats:
    """Return least strength, span to the most, and whether signed, offset, whether rounded or cut (6, M)."""
    rows = [
        (one.least, one.most - one.least, one.signed, one.offset, one.whole == "rounded", one.whole == "toward zero")
        for one in ranges
    ]
    return np.array(rows, dtype=np.float64).T


_TABLES: Mapping[str, operations.Tables] = {
    "Brightness": operations.brightness,
    "Contrast": operations.contrast,
    "Posterize": operations.posterize,
    "Solarize": operations.solarize,
    "SolarizeAdd": operations.solarize_add,
    "AutoContrast": operations.auto_contrast,
    "Equalize": operations.equalize,
    "Invert": operations.invert,
}
_PIXELS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Color": operations.saturated,
    "Sharpness": operations.sharpened,
    "Hue": operations.hue_turned,
}
_MATRICES: Mapping[str, Callable[[operations.Floats, int, int], operations.Floats]] = {
    "ShearX": lambda slope, height, width: operations.sheared_x(slope),
    "ShearY": lambda slope, height, width: operations.sheared_y(slope),
    # Whole pixels, toward zero, of the side's share.
    "TranslateX": lambda share, height, width: operations.translated(np.trunc(share * width), 0 * share),
    "TranslateY": lambda share, height, width: operations.translated(0 * share, np.trunc(share * height)),
    "Rotate": operations.rotated,
}
OPERATIONS = ("Identity", *_MATRICES, *_TABLES, *_PIXELS, "Cutout")
"""All names. Strengths are factors >= 0 of Brightness, Contrast, Color and Sharpness; a share of the circle, of Hue;
bits, of Posterize; a threshold of values, of Solarize, and what is added, of SolarizeAdd; slopes; shares of the side,
of translations and Cutout; degrees. The others have none."""
PLACES = 2
"""Numbers in [0, 1) by which Cutout places its square."""
PER_OPERATION = 4 + PLACES
"""Numbers in [0, 1) of an operation that is drawn: which one, how strong, its sign, whether at all, and where."""


def perform(
    images: Tensor, names: Sequence[str], chosen: Tensor, strength: Tensor, places: Tensor, fill: int, mean: Tensor
) -> Tensor:
    """Return images to each of which one operation was applied.

    Args:
        images: (B, H, W, C) uint8, on any device.
        names: M of `OPERATIONS`.
        chosen: (B,) which of them, in [0, M), on the CPU.
        strength: (B,) how strong, float64, on the CPU.
        places: (B, 2) where Cutout puts its square, in [0, 1), on the CPU.
        fill: What stands where an image moved away, in [0, 255].
        mean: (C,) uint8, what stands where it was cut out; on the device of the images.
    """
    height, width, channels = images.shape[1:]
    # Images are sorted by operation, operations by kind: then each is done to images that lie side by side. In numpy,
    # as `strengths`.
    ranks = _ranks(tuple(names))[chosen.numpy()]
    order = ranks.argsort(kind="stable")
    ends = np.bincount(ranks, minlength=len(OPERATIONS)).cumsum().tolist()
    parts = {
        name: slice(start, end) for name, start, end in zip(OPERATIONS, [0, *ends], ends, strict=False) if start < end
    }
    by = strength.numpy()[order]
    by_there, sorted_images = torch.from_numpy(by).to(images.device), images.index_select(0, _there(order, images))
    done = []
    if "Identity" in parts:
        done.append(sorted_images[parts["Identity"]])
    if moving := [name for name in _MATRICES if name in parts]:
        together = slice(parts[moving[0]].start, parts[moving[-1]].stop)
        matrix = np.concatenate([_MATRICES[name](by[parts[name]], height, width) for name in moving])
        done.append(operations.moved(sorted_images[together], matrix, fill))
    if by_table := [name for name in _TABLES if name in parts]:
        together = slice(parts[by_table[0]].start, parts[by_table[-1]].stop)
        tables = [_TABLES[name](sorted_images[parts[name]], by_there[parts[name]]) for name in by_table]
        tables = [table.expand(-1, channels, -1) for table in tables]
        done.append(operations.looked_up(sorted_images[together], torch.cat(tables)))
    pixelwise = [name for name in _PIXELS if name in parts]
    done += [_PIXELS[name](sorted_images[parts[name]], by_there[parts[name]]) for name in pixelwise]
    if "Cutout" in parts:
        part = parts["Cutout"]
        done.append(cut_squares(sorted_images[part], torch.from_numpy(by[part]), places[order[part]], mean))
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return torch.cat(done).index_select(0, _there(back, images))


@lru_cache
def _ranks(names: tuple[str, ...]) -> NDArray[np.int64]:
    return np.array([OPERATIONS.index(name) for name in names])


def _there(numbers: NDArray[np.int64], images: Tensor) -> Tensor:
    return torch.from_numpy(numbers).to(images.device)


def performed(
    images: Tensor,
    ranges: Mapping[str, Range],
    chosen: Tensor,
    drawn: Tensor,
    level: Tensor,
    fill: int,
    mean: Tensor,
) -> Tensor:
    """Return images to each of which an operation was applied, as strong as was drawn.

    Args:
        images: (B, H, W, C) uint8, on any device.
        ranges: M operations.
        chosen: (B,) which of them, in [0, M).
        drawn: (B, PER_OPERATION) in [0, 1), of which the third is the sign, and the last say where.
        level: (B,) how strong, in [0, 1].
        fill: What stands where an image moved away, in [0, 255].
        mean: (C,) uint8, what stands where it was cut out.
    """
    strength = strengths(list(ranges.values()), chosen, level, drawn[:, 2] < 0.5)
    return perform(images, list(ranges), chosen, strength, drawn[:, 4:], fill, mean)


def cut_squares(images: Tensor, share: Tensor, places: Tensor, fill: Tensor) -> Tensor:
    """Return images (B, H, W, C) uint8 with a square filled, whose middle is anywhere: the rest of it is cut off.

    Args:
        images: The images.
        share: (B,) side of the square as a share of the shorter side, rounded down to pixels.
        places: (B, 2) where its middle is, in [0, 1).
        fill: (C,) uint8.
    """
    height, width = images.shape[1:3]
    size = (share * min(height, width)).floor()
    top, left = (
        ((places[:, axis] * side).floor() - (size / 2).floor()).to(images.device)
        for axis, side in enumerate((height, width))
    )
    return operations.cut_out(images, top, left, size.to(images.device), fill)
