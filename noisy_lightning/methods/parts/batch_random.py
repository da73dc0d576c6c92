"""Random numbers of one batch after another."""

from typing import final

import numpy as np
import torch
from torch import Tensor, nn


@final
class BatchRandom(nn.Module):
    """A generator for each batch: the same on all ranks, and after a resume."""

    seed: Tensor
    """(), int64: seeds all draws, together with the number of the batch."""
    batches: Tensor
    """(), int64: batches so far."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def next(self) -> np.random.Generator:
        """Return the generator of the next batch."""
        random = np.random.default_rng([int(self.seed), int(self.batches)])
        self.batches.add_(1)
        return random
