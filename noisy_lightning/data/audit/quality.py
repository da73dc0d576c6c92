"""Odd pictures by simple measures: dark, bright, blurred, nearly constant, of little information, tiny, very long.

The limits of darkness, brightness, information and shape are those that cleanlab's Datalab sets for CleanVision.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.data.audit.appearance import Appearance
from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.loading.opening import open_image
from noisy_lightning.errors import reading
from noisy_lightning.runs.measures import Bools, Floats, Ints

_CONSTANT = 2  # gray values
_DARK, _BRIGHT = 0.32, 0.95
_BLURRED = 100
_BITS = 1.5
_SHAPE = 0.35
_ENLARGED = 2
_COMMON = 0.1  # what a larger share of the images shows is how the data set looks


def odd_pixels(look: Appearance, positions: Ints) -> list[Findings]:
    """Return the images that are odd by their pixels, a kind each.

    Args:
        look: Of n images.
        positions: (n,) theirs in the training set.
    """
    constant = look.deviation < _CONSTANT
    varied = ~constant  # the others would be of most of these kinds, too
    dark, bright, blank = 1 - look.bright_end / 255, look.dark_end / 255, -look.entropy
    is_dark = varied & (dark > 1 - _DARK)
    is_bright = varied & (bright > _BRIGHT)
    is_blurred = varied & (look.sharpness < _BLURRED)
    is_blank = varied & (look.entropy < _BITS)
    at = "at 64 pixels or less per side,"
    rules = {
        "constant": f"{at} gray values deviate by less than {_CONSTANT} of 255 (score: the deviation, negative)",
        "dark": f"{at} 99 % of the pixels are below {_DARK} of white (score: 1 - the share that they do not exceed)",
        "bright": f"{at} 95 % of the pixels are above {_BRIGHT} of white (score: the share that 5 % do not exceed)",
        "blurred": f"{at} the Laplacian has a variance below {_BLURRED} (score: the variance, negative)",
        "blank": f"{at} the gray values have an entropy below {_BITS} bits (score: the entropy, negative)",
    }
    return [
        _found("nearly constant images", rules["constant"], -look.deviation, constant, positions, common=1),
        _found("dark images", rules["dark"], dark, is_dark, positions),
        _found("bright images", rules["bright"], bright, is_bright, positions),
        _found("blurred images", rules["blurred"], -look.sharpness, is_blurred, positions),
        _found("images of little information", rules["blank"], blank, is_blank, positions),
    ]


def odd_sizes(sizes: NDArray[np.int64], positions: Ints, height: int, width: int) -> list[Findings]:
    """Return the images that are odd by the size of their files, a kind each.

    Args:
        sizes: (n, 2) height and width, in pixels, as `read_sizes` returns them.
        positions: (n,) of the images in the training set.
        height: To which they are brought for training, in pixels.
        width: The same.
    """
    ratio = sizes.min(1) / sizes.max(1)
    enlarged = (np.array([height, width]) / sizes).max(1)
    tiny = f"enlarged more than {_ENLARGED} times to become {height}×{width} (score: how many times)"
    long = f"one side is shorter than {_SHAPE} of the other (score: 1 - this share)"
    return [
        _found("tiny images", tiny, enlarged, enlarged > _ENLARGED, positions),
        _found("images of odd shape", long, 1 - ratio, ratio < _SHAPE, positions),
    ]


def read_sizes(root: Path, names: Sequence[str]) -> NDArray[np.int64]:
    """Return height and width (n, 2) of image files, of which only the headers are read.

    Args:
        root: Their folder.
        names: n paths below it.

    Raises:
        InputError: A file cannot be read.
    """
    sizes = np.zeros((len(names), 2), np.int64)
    for size, name in zip(sizes, names, strict=True):  # threads would wait for the interpreter's lock
        with reading(root / name), open_image(root / name) as image:
            size[:] = image.height, image.width
    return sizes


def _found(
    kind: str, rule: str, oddness: Floats | NDArray[np.float64], is_odd: Bools, positions: Ints, common: float = _COMMON
) -> Findings:
    """Return the odd images, the oddest first; none where more than a share of all images is so."""
    rows = np.flatnonzero(is_odd)
    if len(rows) > common * len(positions):
        remark = f"{len(rows):,} images are so, more than a tenth: this is how the data set looks"
        return Findings(kind, rule, [], [], remark)
    rows = rows[np.argsort(-oddness[rows], kind="stable")]
    return Findings(kind, rule, [(position,) for position in positions[rows].tolist()], oddness[rows].tolist())
