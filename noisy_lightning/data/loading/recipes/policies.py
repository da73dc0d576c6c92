"""Recipes that draw operations: of learned or of simple policies."""

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor

from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.data.loading.recipes.performing import PER_OPERATION, PLACES, Range, cut_squares, performed
from noisy_lightning.data.loading.recipes.ranges import POOLS, TORCHVISION, TORCHVISION_AND_INVERT, WIDE
from noisy_lightning.errors import InputError


@final
class RandAugment(Recipe):
    """Operations of RandAugment (Cubuk et al., NeurIPS 2020), as torchvision has them: 14, all of one magnitude.

    Args:
        operations: How many follow each other, >= 0; any may come twice.
        magnitude: How strong they are, in [0, 30]; whether one goes to the left or right, or makes an image brighter or
            darker, is drawn.
        fill: What stands where an image moved away, in [0, 255].

    Raises:
        InputError: A value is out of range.
    """

    def __init__(self, operations: int = 2, magnitude: int = 9, fill: int = 0) -> None:
        check_operations(operations, fill)
        if not 0 <= magnitude <= 30:
            raise InputError(f"magnitude must be in [0, 30], got {magnitude}")
        self.operations, self.magnitude, self.fill = operations, magnitude, fill

    @property
    def draws(self) -> int:
        """Those of each operation."""
        return self.operations * PER_OPERATION

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the operations."""
        for drawn in torch.split(draws, PER_OPERATION, 1) if self.operations else ():
            level = torch.full_like(drawn[:, 1], self.magnitude / 30)
            images = _one_of(images, TORCHVISION, drawn, level, self.fill, mean)
        return images


@final
class TrivialAugment(Recipe):
    """One operation of any strength: TrivialAugment (Müller and Hutter, ICCV 2021), wide, as torchvision has it.

    A translation is of up to 32 pixels, whatever the size of the images: those of CIFAR-10 may leave their frame.

    Args:
        fill: What stands where an image moved away, in [0, 255].

    Raises:
        InputError: It is out of range.
    """

    draws = PER_OPERATION

    def __init__(self, fill: int = 0) -> None:
        check_operations(1, fill)
        self.fill = fill

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply one of 14 operations at one of 31 magnitudes."""
        height, width = images.shape[1:3]
        pixels = {"TranslateX": Range(0, 32 / width, True), "TranslateY": Range(0, 32 / height, True)}
        return _one_of(images, {**WIDE, **pixels}, draws, (draws[:, 1] * 31).floor() / 30, self.fill, mean)


@final
class AutoAugment(Recipe):
    """One of 25 learned pairs of operations: AutoAugment (Cubuk et al., CVPR 2019), as torchvision has it.

    Args:
        policy: The data set on which they were learned.
        fill: What stands where an image moved away, in [0, 255]; authors of noisy-label methods often have 128.

    Raises:
        InputError: A value is none of these.
    """

    draws = 1 + 2 * PER_OPERATION

    def __init__(self, policy: Literal["cifar10", "imagenet", "svhn"] = "cifar10", fill: int = 0) -> None:
        check_operations(2, fill)
        if policy not in ("cifar10", "imagenet", "svhn"):
            raise InputError(f"policy must be cifar10, imagenet or svhn, got {policy!r}")
        from torchvision import transforms  # noqa: PLC0415  # which takes long to import

        self.policy, self.fill = policy, fill
        self._pairs = transforms.AutoAugment(transforms.AutoAugmentPolicy(policy)).policies

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply each operation of a pair with its probability."""
        pair = (draws[:, 0] * len(self._pairs)).long()
        names = list(TORCHVISION_AND_INVERT)
        for place, drawn in enumerate(torch.split(draws[:, 1:], PER_OPERATION, 1)):
            steps = [one[place] for one in self._pairs]
            chosen = torch.tensor([names.index(name) for name, _, _ in steps])[pair]
            likely = torch.tensor([probability for _, probability, _ in steps], dtype=torch.float64)[pair]
            level = torch.tensor([(magnitude or 0) / 9 for _, _, magnitude in steps], dtype=torch.float64)[pair]
            chosen = torch.where(drawn[:, 3] < likely, chosen, 0)
            images = performed(images, TORCHVISION_AND_INVERT, chosen, drawn, level, self.fill, mean)
        return images


@final
class FixMatchAugment(Recipe):
    """Operations of any strength and then `Cutout`, as in FixMatch (Sohn et al., NeurIPS 2020) and its heirs.

    Of the pool `fixmatch`, brightness, contrast, color and sharpness become less, never more.

    Args:
        operations: How many follow each other, >= 0; any may come twice.
        magnitude: Strengths are whole tenths, from 1 to magnitude − 1 of the strongest, magnitude being in [2, 11];
            None: any.
        probability: How likely each operation is to be applied, in [0, 1]; 0.5 in well-known code, 1 in ProMix.
        pool: `fixmatch`, 14 operations; or `wide`, the 16 that DISC draws from: with Cutout, Invert and SolarizeAdd, up
            to twice as bright, colored and sharp, and without Identity.
        cutout: Side of the square as a share of that of the image, in [0, 1]; 0: none is cut out.
        random_cutout: Whether the side is drawn, up to `cutout`.
        fill: What stands where an image moved away, in [0, 255].

    Raises:
        InputError: A value is out of range.
    """

    def __init__(
        self,
        operations: int = 2,
        magnitude: int | None = 10,
        probability: float = 0.5,
        pool: Literal["fixmatch", "wide"] = "fixmatch",
        cutout: float = 0.5,
        random_cutout: bool = False,
        fill: int = 0,
    ) -> None:
        check_operations(operations, fill)
        if magnitude is not None and not 2 <= magnitude <= 11:
            raise InputError(f"magnitude must be in [2, 11], got {magnitude}")
        for name, value in {"probability": probability, "cutout": cutout}.items():
            if not 0 <= value <= 1:
                raise InputError(f"{name} must be in [0, 1], got {value}")
        if pool not in POOLS:
            raise InputError(f"pool must be fixmatch or wide, got {pool!r}")
        self.operations, self.magnitude, self.probability, self.pool = operations, magnitude, probability, pool
        self.cutout, self.random_cutout, self.fill = cutout, random_cutout, fill

    @property
    def draws(self) -> int:
        """Those of each operation, of the last square its side and place."""
        return self.operations * PER_OPERATION + 1 + PLACES

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the operations and cut out."""
        for drawn in torch.split(draws[:, : -1 - PLACES], PER_OPERATION, 1) if self.operations else ():
            levels = drawn[:, 1]
            if self.magnitude is not None:
                levels = (1 + (levels * (self.magnitude - 1)).floor()) / 10
            pool = POOLS[self.pool]
            ranges = {**pool, "Identity": Range()}
            chosen = (drawn[:, 0] * len(pool)).long()
            chosen = torch.where(drawn[:, 3] < self.probability, chosen, list(ranges).index("Identity"))
            images = performed(images, ranges, chosen, drawn, levels, self.fill, mean)
        if not self.cutout:
            return images
        share = self.cutout * (draws[:, -1 - PLACES] if self.random_cutout else torch.ones(len(images)))
        return cut_squares(images, share, draws[:, -PLACES:], mean)


def _one_of(
    images: Tensor, ranges: Mapping[str, Range], drawn: Tensor, level: Tensor, fill: int, mean: Tensor
) -> Tensor:
    """Apply an operation that is drawn of all, with equal probabilities."""
    return performed(images, ranges, (drawn[:, 0] * len(ranges)).long(), drawn, level, fill, mean)


def check_operations(operations: int, fill: int) -> None:
    """Refuse how many operations follow each other, or what stands where an image moved away.

    Raises:
        InputError: It is out of range.
    """
    if operations < 0:
        raise InputError(f"operations must be at least 0, got {operations}")
    if not 0 <= fill <= 255:
        raise InputError(f"fill must be in [0, 255], got {fill}")
