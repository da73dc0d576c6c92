"""FMix over the batch of all ranks: Harris, Marcu, Painter, Niranjan, Prügel-Bennett and Hare, arXiv 2002.12047."""

import math
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.methods.parts.mixup import Mixup


def low_frequency_mask(
    share: float, shape: Sequence[int], random: np.random.Generator, decay: float = 3.0
) -> NDArray[np.bool_]:
    """Return a mask (H, W) that is true in a few smooth regions, which have a given share of the area.

    It is true at the largest values of an image whose Fourier coefficients are complex normal draws divided by f^decay,
    where f is the frequency in cycles per pixel, but at least one cycle per longer side. The number of true pixels is
    share·H·W, rounded up or down with equal chance.

    The authors' code takes the first two rows of its draws for real and imaginary parts, so that all masks vary in one
    direction much more than in the other; here each coefficient has a real and an imaginary part, as the paper says.

    Args:
        share: λ in [0, 1].
        shape: H and W.
        random: Draws the real parts, the imaginary parts, both (H, W // 2 + 1), then the rounding.
        decay: δ >= 0; 3 in the paper.
    """
    height, width = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    real, imaginary = random.standard_normal((2, *frequency.shape))
    spectrum = (real + 1j * imaginary) / np.maximum(frequency, 1 / max(shape)) ** decay
    gray = np.fft.irfft2(spectrum, (height, width))
    number = (math.ceil if random.random() > 0.5 else math.floor)(share * gray.size)
    mask = np.zeros(gray.size, bool)
    mask[gray.ravel().argsort(kind="stable")[::-1][:number]] = True
    return mask.reshape(height, width)


@final
class FMix:
    """Replaces smooth regions of a rank's images by those of another image of the whole batch, as many ranks as may be.

    Args:
        index: (B,) positions of this rank's samples in the original training set.
        everyone: (ΣB,) those of all ranks, one rank after another.
        shape: H and W of the images.
        alpha: α > 0 of the Beta distribution; 1 in the paper.
        random: Draws λ, the mask, which all images share, then a permutation of the batch, sorted by position.
    """

    def __init__(
        self, index: Tensor, everyone: Tensor, shape: Sequence[int], alpha: float, random: np.random.Generator
    ) -> None:
        self.share = float(random.beta(alpha, alpha))
        self.mask = torch.from_numpy(low_frequency_mask(self.share, shape, random)).to(index.device)
        pairs = Mixup(index, everyone, 0.0, random)
        self.own, self.partner = pairs.own, pairs.partner

    def of(self, images: Tensor) -> Tensor:
        """Return images (B, C, H, W), v_i where the mask is true and v_j elsewhere, of all ranks' images (ΣB, ...)."""
        return torch.where(self.mask, images[self.own], images[self.partner])
