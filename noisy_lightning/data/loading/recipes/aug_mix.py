"""Mixtures of an image and of chains of operations."""

from typing import final

import torch
from torch import Tensor

from noisy_lightning.data.loading.recipes.base import Recipe
from noisy_lightning.data.loading.recipes.performing import PER_OPERATION, performed
from noisy_lightning.data.loading.recipes.policies import check_operations
from noisy_lightning.data.loading.recipes.ranges import AUGMIX
from noisy_lightning.errors import InputError

_WEAKEST, _STRONGEST = 0.1, 10.0  # levels of an operation, on the authors' scale
_LONGEST = 3  # operations of a chain whose length is drawn


@final
class AugMix(Recipe):
    """An image mixed with chains of operations of itself: AugMix (Hendrycks et al., ICLR 2020).

    Chains are weighted by Dirichlet(1, …, 1), the image and all chains by Beta(1, 1). The operations are all 13 of the
    authors' code, also those like the corruptions of their tests, which are not ours. Unlike there, pixels are moved to
    the nearest place, and mixtures are rounded to whole values.

    Args:
        severity: How strong operations are at most, in [0.1, 10]: 3 in the paper, 1 in RRL.
        width: How many chains, >= 1.
        depth: Operations of a chain, >= 1; None: 1 to 3, drawn.
        fill: What stands where an image moved away, in [0, 255].

    Raises:
        InputError: A value is out of range.
    """

    def __init__(self, severity: float = 3.0, width: int = 3, depth: int | None = None, fill: int = 0) -> None:
        check_operations(1, fill)
        if not _WEAKEST <= severity <= _STRONGEST:
            raise InputError(f"severity must be in [{_WEAKEST}, {_STRONGEST:.0f}], got {severity}")
        for name, value in {"width": width, "depth": depth}.items():
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        self.severity, self.width, self.depth, self.fill = severity, width, depth, fill

    @property
    def draws(self) -> int:
        """Those of the mixture, and of each chain its weight, its length and its operations."""
        return 1 + self.width * self._per_chain

    def __call__(self, images: Tensor, draws: Tensor, mean: Tensor, size: tuple[int, int]) -> Tensor:
        """Mix."""
        count = len(images)
        of_chains = draws[:, 1:].view(count, self.width, self._per_chain)
        # Exponential numbers, divided by their sum, are Dirichlet(1, …, 1).
        weight = -(1 - of_chains[:, :, 0]).log()
        share = draws[:, :1] * weight / weight.sum(1, keepdim=True)
        # All chains at once, those of an image at a distance of all images.
        drawn = of_chains.transpose(0, 1).flatten(0, 1)
        length = (
            1 + (drawn[:, 1] * _LONGEST).floor() if self.depth is None else torch.full_like(drawn[:, 1], self.depth)
        )
        chains = images.repeat(self.width, 1, 1, 1)
        for place, own in enumerate(torch.split(drawn[:, 2:], PER_OPERATION, 1)):
            chosen = torch.where(place < length, 1 + (own[:, 0] * (len(AUGMIX) - 1)).long(), 0)
            level = (_WEAKEST + (self.severity - _WEAKEST) * own[:, 1]) / _STRONGEST
            chains = performed(chains, AUGMIX, chosen, own, level, self.fill, mean)
        kept = (1 - draws[:, 0]).float().to(images.device).view(-1, 1, 1, 1)
        mixed = images * kept
        for one, of_one in zip(torch.split(chains, count), share.float().to(images.device).unbind(1), strict=True):
            mixed += one * of_one.view(-1, 1, 1, 1)
        return mixed.round_().clamp_(0, 255).to(torch.uint8)

    @property
    def _per_chain(self) -> int:
        return 2 + (_LONGEST if self.depth is None else self.depth) * PER_OPERATION
