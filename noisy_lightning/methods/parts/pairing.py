"""Images mixed in pairs, for methods whose step takes the mean of losses that depend on one label each."""

from collections.abc import Callable
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from noisy_lightning.methods.parts.ranks import gather, places
from noisy_lightning.regularizers import Mixing


class Mixed(NamedTuple):
    """What a method trains on: images, and with whom they were mixed."""

    image: Tensor
    """(B, C, H, W), of each of which the sample itself is at least half."""
    share: float = 1.0
    """The part of the sample's own label in the loss, in [0.5, 1]."""
    other_label: Tensor | None = None
    """(B,) given labels of the others; None: nothing was mixed."""
    other_index: Tensor | None = None
    """(B,) positions of the others in the original training set."""

    def blend(self, own: Tensor, of_others: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Return s·(what the own labels give) + (1 − s)·(what those of the others give).

        Args:
            own: Losses, or a mean of them.
            of_others: Returns the same for other labels (B,) and positions (B,), on the same logits.
        """
        if self.other_label is None or self.other_index is None:
            return own
        return self.share * own + (1 - self.share) * of_others(self.other_label, self.other_index)


@final
class Pairing(nn.Module):
    """Mixes the images of a batch, in the same way on any number of ranks and after a resume.

    On several ranks, each gets the images of all.

    Args:
        mixing: How two images are mixed.
    """

    seed: Tensor
    """(), int64: seeds all draws, together with the epoch and the place in it."""
    epoch: Tensor
    """(), int64: the current epoch."""
    served: Tensor
    """(), int64: samples seen in this epoch so far, on all ranks."""

    def __init__(self, mixing: Mixing) -> None:
        super().__init__()
        self.mixing = mixing
        self.register_buffer("seed", torch.randint(2**62, ()))
        for name in ("epoch", "served"):
            self.register_buffer(name, torch.zeros((), dtype=torch.long))

    def begin(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch.fill_(epoch)
        self.served.zero_()

    def forward(self, image: Tensor, label: Tensor, index: Tensor) -> Mixed:
        """Mix images (B, C, H, W) with given labels (B,) of samples (B,)."""
        random = np.random.default_rng(torch.stack([self.seed, self.epoch, self.served]).tolist())
        place = places(len(label), label.device)
        everyone = gather(place)
        order = everyone.argsort()
        self.served.add_(len(order))
        drawn = self.mixing.draw(random, *image.shape[-2:])
        if (drawn == 1).all():
            return Mixed(image)
        permutation = torch.from_numpy(random.permutation(len(order))).to(label.device)
        own, share = torch.from_numpy(drawn).to(image), float(drawn.mean())
        if share < 0.5:  # the same images, in the order of those that they show more of
            own, share, permutation = 1 - own, 1 - share, permutation.argsort()
        other = order[permutation[torch.searchsorted(everyone[order], place)]]
        image = own * image + (1 - own) * gather(image)[other]
        return Mixed(image, share, gather(label)[other], gather(index)[other])
