"""What a method remembers of each training sample."""

from typing import final

import torch
from torch import Tensor, nn

from noisy_lightning.methods.parts.ranks import gather


@final
class SampleMemory(nn.Module):
    """One value per sample of the original training set, equal on all ranks and saved with the method.

    Args:
        num_samples: N.
        shape: Shape of a value; nothing for a number.
        fill: Value of every sample at first.
        dtype: Type of the values.
    """

    values: Tensor
    """(N, *shape); written in place, because torch keeps track of this very tensor."""

    def __init__(self, num_samples: int, *shape: int, fill: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("values", torch.full((num_samples, *shape), fill, dtype=dtype))

    def read(self, index: Tensor) -> Tensor:
        """Return the values (B, *shape) of samples (B,)."""
        return self.values[index]

    def write(self, index: Tensor, value: Tensor) -> None:
        """Remember the values (B, *shape) of samples (B,), those of all ranks on each; none is in a batch twice."""
        self.values.index_copy_(0, gather(index), gather(value).to(self.values.dtype))
