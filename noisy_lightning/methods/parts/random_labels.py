"""Labels that have nothing to do with the images that they stand beside."""

from typing import final

import torch
from torch import Tensor, nn

from noisy_lightning.methods.base import EpochContext


@final
class RandomLabels(nn.Module):
    """The given labels of the training part, handed out anew in each epoch, in a random order; or uniform ones.

    Args:
        num_samples: N.
        uniform_over: K, of which each is equally likely; None: the given labels.
    """

    seed: Tensor
    """(), int64: seeds the order, together with the epoch."""
    values: Tensor
    """(N,) int64: the label that a sample got in this epoch."""

    def __init__(self, num_samples: int, uniform_over: int | None = None) -> None:
        super().__init__()
        self.uniform_over = uniform_over
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("values", torch.zeros(num_samples, dtype=torch.long))

    def draw(self, context: EpochContext) -> None:
        """Hand the labels of an epoch out."""
        trained = (context.labels >= 0).nonzero().flatten()
        generator = torch.Generator().manual_seed(int(self.seed) + context.epoch)
        if self.uniform_over is None:
            drawn = context.labels[trained][torch.randperm(len(trained), generator=generator)]
        else:
            drawn = torch.randint(self.uniform_over, (len(trained),), generator=generator)
        self.values[trained.to(self.values.device)] = drawn.to(self.values.device)

    def read(self, index: Tensor) -> Tensor:
        """Return the labels (B,) that samples (B,) got."""
        return self.values[index]
