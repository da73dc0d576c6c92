"""What a frozen network sees in images."""

import copy
import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from noisy_lightning.backbones.checkpoint import classifier_not_needed
from noisy_lightning.backbones.classifier import classifiers
from noisy_lightning.backbones.pretrained import checkpoint_follows
from noisy_lightning.data.loading.augment import seeded_generator
from noisy_lightning.data.sets.feature_cache import Block
from noisy_lightning.data.sets.image_files import ImageFiles, processors
from noisy_lightning.data.sets.sources import Images
from noisy_lightning.errors import InputError

_AT_ONCE = 64  # images that the network looks at
_READ = 16  # images that a thread reads before it asks for more
_CROP = 0.875  # of the height and width of an image that a cropped view shows


def frozen_network(make: Callable[[int, int], nn.Module], num_classes: int, in_channels: int) -> nn.Module:
    """Return a network that looks at images, the same in every process.

    Args:
        make: Called with the two others.
        num_classes: K.
        in_channels: C.
    """
    # A checkpoint brings the weights of what was trained, not of this one.
    with torch.random.fork_rng(devices=[]), classifier_not_needed(), checkpoint_follows(False):
        torch.manual_seed(0)  # of weights that are not pretrained
        return make(num_classes, in_channels).eval()


@dataclass(frozen=True)
class FeaturesOf:
    """Turns images into what a classifier of features takes, exactly as `Embedded` does.

    Args:
        picture: Turns an image of any kind into a normalized one (C, H, W).
        embedding: What looks at it, of one view, `rounded`.
        mean: D means.
        std: D deviations.
    """

    picture: Callable[[Any], Tensor]
    embedding: "Embedding"
    mean: Sequence[float]
    std: Sequence[float]

    @torch.inference_mode()
    def __call__(self, image: Any) -> Tensor:
        """Return the standardized features (D, 1, 1) of an image, as `to_input` takes it."""
        return self.features(self.picture(image).unsqueeze(0)).squeeze(0).clone()

    def features(self, pictures: Tensor) -> Tensor:
        """Return the standardized features (B, D, 1, 1) of normalized images (B, C, H, W), on their device."""
        seen = self.embedding.look(pictures).float()
        mean, std = (torch.tensor(values, device=seen.device) for values in (self.mean, self.std))
        return ((seen - mean) / std)[:, :, None, None]


@dataclass(frozen=True)
class Embedding:
    """A frozen network and the images that it looks at.

    It computes in bfloat16, which is twice as fast as float32 on processors that know it; features are float16.

    Args:
        network: In evaluation mode. Where it has a method `embed(image, stages)`, as `Timm` has, that is what it
            sees, else what its last layer gets.
        mean: C means, in [0, 1], by which images are normalized.
        std: C deviations, > 0.
        stages: Of how many of the last stages the outputs belong to the features; 0 for a network without `embed`.
        views: V >= 1: the image, its mirror image, and from the third on random crops of 7/8 of both sides, every other
            one mirrored.
    """

    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    stages: int
    views: int

    def key(self, image_shape: Sequence[int]) -> str:
        """Return what decides on the features of an image: network, weights and preprocessing.

        Args:
            image_shape: (H, W, C).
        """
        digest = hashlib.sha256(repr(self.network).encode())
        for name, value in self.network.state_dict().items():
            digest.update(
                name.encode() + value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
            )
        resized = [getattr(self.network, name, None) for name in ("image_size", "inputs")]
        settings = (list(image_shape), list(self.mean), list(self.std), self.stages, self.views, resized, "bfloat16")
        return f"{digest.hexdigest()} {settings}"

    def width(self, image_shape: tuple[int, int, int]) -> int:
        """Return D, how many features an image (H, W, C) has."""
        with torch.inference_mode():
            return self._features(torch.zeros(1, image_shape[2], *image_shape[:2])).shape[1]

    def rounded(self, device: torch.device | str = "cpu") -> "Embedding":
        """Return the same with a copy of the network in bfloat16 on a device."""
        network = copy.deepcopy(self.network)
        network.to(device, torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return replace(self, network=network)

    def look(self, image: Tensor) -> Tensor:
        """Return the features (B, D) float16 of normalized images (B, C, H, W)."""
        return self._features(image).float().half()

    def __call__(self, images: Images, blocks: Sequence[range], named: str) -> Iterator[Block]:
        """Yield the features of blocks of images, with a bar that says how long it will take.

        Args:
            images: (N, H, W, C) uint8.
            blocks: Positions that follow each other.
            named: What the images are.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        frozen = self.rounded(device)
        total = sum(map(len, blocks))
        with (
            ThreadPoolExecutor(processors()) as pool,
            torch.inference_mode(),
            tqdm(total=total, unit=" images", desc=f"features of {named}", disable=None) as bar,
        ):
            ahead = _read(images, blocks[0], pool) if blocks else []
            for number, block in enumerate(blocks):
                waiting, ahead = ahead, []
                if number + 1 < len(blocks):  # while the network looks, threads read what comes next
                    ahead = _read(images, blocks[number + 1], pool)
                broken: dict[int, str] = {}
                parts: list[Tensor] = []
                for future in waiting:
                    some, unread = future.result()
                    broken |= unread
                    parts.append(some)
                pixels, rows = torch.cat(parts), []
                for start in range(0, len(block), _AT_ONCE):
                    rows.append(frozen._seen(pixels[start : start + _AT_ONCE].to(device), block.start + start))
                    bar.update(len(rows[-1]))
                yield Block(torch.cat(rows).numpy(), broken)

    def _seen(self, pixels: Tensor, start: int) -> Tensor:
        """Return the features (n, V, D) float16 of images (n, H, W, C) uint8 that begin at a position."""
        mean, std = (torch.tensor(list(values), device=pixels.device) for values in (self.mean, self.std))
        image = ((pixels.float() / 255 - mean) / std).permute(0, 3, 1, 2)
        views = [self.look(view).cpu() for view in self._views(image, start)]
        return torch.stack(views, 1)

    def _views(self, image: Tensor, start: int) -> Iterator[Tensor]:
        for number in range(self.views):
            view = image if number < 2 else _cropped(image, start, number)
            yield view.flip(3) if number % 2 else view

    def _features(self, image: Tensor) -> Tensor:
        """Return the features (B, D) of normalized images (B, C, H, W)."""
        network: Any = self.network
        if hasattr(network, "embed"):
            seen: Tensor = network.embed(image, self.stages)
            return seen
        caught: list[Tensor] = []
        layer = classifiers(network)[0]
        hook = layer.register_forward_pre_hook(lambda layer, inputs: caught.append(inputs[0]))
        try:
            network(image.to(next(network.parameters()).dtype))
        finally:
            hook.remove()
        return caught[0].flatten(1)


def _read(images: Images, block: range, pool: ThreadPoolExecutor) -> list[Future[tuple[Tensor, dict[int, str]]]]:
    """Have threads read the images of a block."""
    starts = range(block.start, block.stop, _READ if isinstance(images, ImageFiles) else len(block))
    step = starts.step
    return [pool.submit(_read_some, images, range(start, min(start + step, block.stop))) for start in starts]


def _read_some(images: Images, positions: range) -> tuple[Tensor, dict[int, str]]:
    """Return images (n, H, W, C) uint8, zero where a file is broken, and why it is, by position."""
    if not isinstance(images, ImageFiles):
        return images[torch.arange(positions.start, positions.stop)], {}
    pixels = np.zeros((len(positions), *images.image_shape), np.uint8)
    broken: dict[int, str] = {}
    for place, position in enumerate(positions):
        try:
            pixels[place] = images.decoded(position)
        except InputError as error:
            broken[position] = str(error)
    return torch.from_numpy(pixels), broken


def _cropped(image: Tensor, start: int, number: int) -> Tensor:
    """Return random crops of images (n, C, H, W) that begin at a position; each depends on its position alone."""
    height, width = (max(1, round(_CROP * size)) for size in image.shape[2:])
    free = torch.tensor([image.shape[2] - height + 1, image.shape[3] - width + 1])
    crops = []
    for place, one in enumerate(image):
        drawn = torch.rand(2, generator=seeded_generator("crop", start + place, number))
        top, left = (drawn * free).long().tolist()
        crops.append(one[:, top : top + height, left : left + width])
    return F.interpolate(torch.stack(crops), size=image.shape[2:], mode="bilinear")
