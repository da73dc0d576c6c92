"""Pictures that look like photographs to what compares them: broad shapes, and texture."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def photographs(count: int, side: int = 32, seed: int = 0) -> Pixels:
    """Return pictures (count, side, side, 3) that have nothing in common."""
    random = np.random.default_rng(seed)
    coarse = random.integers(20, 230, (count, 7, 7, 3), dtype=np.uint8)
    broad = [np.asarray(Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)) for cells in coarse]
    texture = random.normal(0, 8, (count, side, side, 3))
    return np.clip(np.stack(broad) + texture, 0, 255).astype(np.uint8)


def encoded(picture: Pixels, **options: Any) -> Pixels:
    """Return a picture (H, W, 3) as a JPEG file gives it back."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", **options)
    return np.asarray(Image.open(file))


def brightened(picture: Pixels, by: int) -> Pixels:
    """Return a picture (H, W, 3) that is lighter."""
    return np.asarray(np.clip(picture.astype(int) + by, 0, 255), np.uint8)
