"""Random crop, horizontal flip, recipes and normalization of whole batches; crop and flip by index arithmetic alone.

Images lie zero-padded, plain and mirrored side by side, in one flat uint8 tensor. A crop of a plain or mirrored
image is then a window at some offset in that tensor, and a batch of crops is one gather of windows. Each sample
has its own crop and its own flip. What a recipe does to these windows, it does to all of a batch at once.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from noisy_lightning.data.loading.recipes.base import CropFlip, Recipe
from noisy_lightning.data.loading.recipes.resizing import resized
from noisy_lightning.types import View

_CROP_FLIP = CropFlip()


def seeded_generator(purpose: str, *key: int) -> torch.Generator:
    """Return a CPU generator that depends on the purpose and all integers of the key, and on nothing else."""
    digest = hashlib.sha256(repr((purpose, key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little"))


def uniforms(purpose: str, key: Sequence[int], index: Tensor, count: int) -> Tensor:
    """Return numbers (B, count) float64 in [0, 1), uniform and independent, on the CPU.

    Each row depends on the purpose, on all integers of the key and on its own index, and on nothing else: not on what
    else is drawn, so that a batch needs no draws but its own. SplitMix64 of a counter (Steele et al., OOPSLA 2014).

    Args:
        purpose: What they are for.
        key: Integers.
        index: (B,) int64 >= 0, on the CPU.
        count: How many for each index.
    """
    digest = hashlib.sha256(repr((purpose, tuple(key))).encode()).digest()
    start = int.from_bytes(digest[:8], "little", signed=True)
    # Integers of torch have a sign and wrap around, as the algorithm wants; shifts bring copies of the sign with them.
    z = start + (index[:, None] * count + torch.arange(count)) * -0x61C8864680B583EB
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        z = (z ^ (z >> shift & (1 << 64 - shift) - 1)) * factor
    z = z ^ (z >> 31 & (1 << 33) - 1)
    return (z >> 11 & (1 << 53) - 1).double() / (1 << 53)


@dataclass(frozen=True)
class Augmentation:
    """What happens to an image between data set and network."""

    height: int
    width: int
    mean: Sequence[float]
    """Mean per channel, in [0, 1]."""
    std: Sequence[float]
    """Standard deviation per channel, > 0."""
    padding: int = 0
    """Zero pixels on each side, from which training crops the original size at random."""
    flip: bool = False
    """Whether training mirrors images at random, each with probability one half."""
    stored_views: int = 1
    """How many views of each image lie side by side, as those of frozen features do, one of which training takes at
    random and everything else the first. Of more than one nothing is cropped or mirrored."""
    weak: Recipe = _CROP_FLIP
    """What is done to weak views in training, and whether they are cropped and mirrored at all."""
    strong: Recipe = _CROP_FLIP
    """Likewise to strong ones."""
    kept: tuple[int, int] | None = None
    """Height and width at which training images are kept, larger than networks get them, for a recipe that zooms; where
    nothing is augmented they are resized. None: height and width."""

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of a window."""
        return self.kept or (self.height, self.width)

    @property
    def rows(self) -> int:
        """Height of a padded image."""
        return self.window[0] + 2 * self.padding

    @property
    def columns(self) -> int:
        """Width of a padded image."""
        return self.stored_views * self.window[1] + 2 * self.padding

    @property
    def area(self) -> int:
        """Pixels that one image takes in a `WindowStore`, its mirrored copy included."""
        return (2 if self.flip else 1) * self.rows * self.columns

    def center_offsets(self, count: int) -> Tensor:
        """Return the offsets (count,) of the windows that show the images as they are."""
        return torch.full((count,), self.padding * (self.columns + 1))

    def recipe(self, view: View) -> Recipe:
        """Return what is done to a view of a kind."""
        return self.weak if view == "weak" else self.strong

    def random_offsets(self, count: int, generator: torch.Generator, view: View = "weak") -> Tensor:
        """Return the offsets (count,) of random windows, one for each image of the data set."""
        recipe = self.recipe(view)
        offsets = torch.zeros(count, dtype=torch.int64)
        for stride in (self.columns, 1):
            offsets += stride * torch.randint(2 * self.padding + 1, (count,), generator=generator)
        if not recipe.crops:
            offsets = self.center_offsets(count)
        if self.flip:
            flipped = torch.randint(2, (count,), generator=generator)
            offsets += self.rows * self.columns * flipped * recipe.flips
        return offsets

    def offsets_of_views(self, count: int, generator: torch.Generator, views: Sequence[View]) -> Tensor:
        """Return the offsets (V, count) of random windows; of stored views no image has the same twice.

        Args:
            count: Images of the data set.
            generator: What draws.
            views: V kinds; of stored views, at most as many as there are.
        """
        if self.stored_views == 1:
            return torch.stack([self.random_offsets(count, generator, view) for view in views])
        first = torch.randint(self.stored_views, (count,), generator=generator)
        return (first + torch.arange(len(views))[:, None]) % self.stored_views * self.width

    def of_tests(self) -> "Augmentation":
        """Return what happens to test images, which are kept no larger than networks get them."""
        return replace(self, kept=None)


class WindowStore:
    """Images that are cropped, mirrored and normalized as they are read.

    Args:
        images: (N, H, W, C) uint8, of the augmentation's window, or larger by up to its padding on each side:
            their own pixels then replace the padding. Or features (N, 1, V, D) floating-point, in V stored views.
        augmentation: Padding, mirroring and normalization.
        device: Where the images lie and the batches appear.
    """

    def __init__(self, images: Tensor, augmentation: Augmentation, device: torch.device | str = "cpu") -> None:
        self.augmentation = a = augmentation
        self.channels = images.shape[3]
        self._pixels = (_padded(images, a) if images.dtype == torch.uint8 else images.flatten()).to(device)
        self.device = self._pixels.device
        # One factor per value and not per channel: broadcasting over an innermost axis of 3 is four times slower.
        mean, std = (torch.tensor(list(values)).repeat(a.width) for values in (a.mean, a.std))
        unit = 255 if images.dtype == torch.uint8 else 1
        self._scale, self._shift = (1 / (unit * std)).to(device), (-mean / std).to(device)
        self.mean = (255 * torch.tensor(list(a.mean))).round().clamp(0, 255).to(self.device, torch.uint8)

    @staticmethod
    def nbytes(images: Tensor, augmentation: Augmentation) -> int:
        """Return the memory, in bytes, that a store of `images` (N, H, W, C) takes."""
        if images.dtype != torch.uint8:
            return images.nbytes
        return _values(len(images), images.shape[-1], augmentation)

    def read(self, slot: Tensor, offset: Tensor) -> Tensor:
        """Return one window of each of the images `slot`.

        Args:
            slot: (B,) positions in this store.
            offset: (B,) which window, from `random_offsets` or `center_offsets`.

        Returns:
            (B, C, H, W) float32, normalized, channels last in memory.
        """
        if self.augmentation.kept is None:
            return self._normalized(self._rows(slot, offset))
        return self.normalized(resized(self.windows(slot, offset), self.size))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) that networks get."""
        return self.augmentation.height, self.augmentation.width

    def windows(self, slot: Tensor, offset: Tensor) -> Tensor:
        """Return the same windows as they are kept, (B, *window, C): uint8, or features."""
        rows = self._rows(slot, offset)
        return rows.view(*rows.shape[:2], -1, self.channels)

    def normalized(self, pixels: Tensor) -> Tensor:
        """Return pixels (B, H, W, C) as networks take them, (B, C, H, W) float32, channels last in memory."""
        return self._normalized(pixels.flatten(2))

    def _rows(self, slot: Tensor, offset: Tensor) -> Tensor:
        """Return windows with the values of a row side by side, (B, window height, window width · C)."""
        a = self.augmentation
        height, width = a.window
        row = (a.columns if a.stored_views == 1 else width) * self.channels
        window = height * row
        # The view has far more elements than the memory behind it: it is made anew here (2 µs) and never copied.
        count = (len(self._pixels) - window) // self.channels + 1
        windows = self._pixels.as_strided((count, window), (self.channels, 1))
        # One piece of memory per image, cut to the width afterward, is faster to read than one per row.
        return windows.index_select(0, slot * a.area + offset).view(-1, height, row)[:, :, : width * self.channels]

    def _normalized(self, rows: Tensor) -> Tensor:
        """Return rows (B, H, W · C) as `normalized` returns pixels."""
        height, width = self.size
        values = rows.float()
        torch.addcmul(self._shift, values, self._scale, out=values)
        return values.view(-1, height, width, self.channels).permute(0, 3, 1, 2)


def _values(count: int, channels: int, augmentation: Augmentation) -> int:
    """Return how many values a store of images takes."""
    # Windows are read as whole rows of padded images: the very last one ends beyond the last image.
    beyond = augmentation.columns - augmentation.window[1]
    return (count * augmentation.area + beyond) * channels


def _padded(images: Tensor, a: Augmentation) -> Tensor:
    """Return images (N, H, W, C) uint8, zero-padded and with their mirror images beside them, in one row."""
    count, height, width, channels = images.shape
    pixels = torch.zeros(_values(count, channels, a), dtype=torch.uint8)
    padded = pixels[: count * a.area * channels].view(count, -1, a.rows, a.columns, channels)
    top, left = (a.rows - height) // 2, (a.columns - width) // 2
    inner = padded[:, :, top : top + height, left : left + width]
    inner[:, 0] = images
    if a.flip:
        inner[:, 1] = images.flip(2)
    return pixels


def placed(images: Tensor, augmentation: Augmentation, device: torch.device) -> WindowStore:
    """Make images (N, H, W, C) uint8 ready on a device, or in host memory if they need over half of its free memory."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if WindowStore.nbytes(images, augmentation) > free / 2:
            device = torch.device("cpu")
    return WindowStore(images, augmentation, device)
