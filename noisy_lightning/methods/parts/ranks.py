"""What a method needs to know of the batch parts that other processes have; alone, there are none.

Each rank steps on its part of a batch and DistributedDataParallel averages the ranks' gradients. A method that compares
the samples of a batch, or remembers something of them, must see all parts to come to the same result on any number of
ranks.
"""

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(value: Tensor) -> Tensor:
    """Return the ranks' values (B_r, ...) one after another, (ΣB_r, ...), without gradient; B_r may differ."""
    value = value.detach()
    if world_size() == 1:
        return value
    size = torch.tensor([len(value)], device=value.device)
    sizes = [torch.empty_like(size) for _ in range(world_size())]
    dist.all_gather(sizes, size)
    longest = int(torch.cat(sizes).max())
    padded = value.new_zeros(longest, *value.shape[1:])
    padded[: len(value)] = value
    parts = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(parts, padded)
    return torch.cat([part[: int(length)] for part, length in zip(parts, sizes, strict=True)])


def total(value: Tensor) -> Tensor:
    """Return the sum over ranks of a value, without gradient."""
    value = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def batch_mean(losses: Tensor) -> Tensor:
    """Return the mean of losses (B,) over the whole batch, such that averaging its gradients over the ranks is right.

    The plain mean is that only where all ranks have equally many samples, which those of a last batch need not have.
    """
    if world_size() == 1:
        return losses.mean()
    return losses.sum() / (total(losses.new_tensor(len(losses))) / world_size())


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Return Σ w·loss / Σ w over the whole batch, such that averaging its gradients over the ranks is right.

    Args:
        losses: (B,) of this rank's samples.
        weights: (B,) >= 0, bool or float; no gradient flows through their sum. Where all are 0, the mean is 0.
    """
    share = total(weights.float().sum()) / world_size()
    return (losses * weights).sum() / torch.where(share > 0, share, 1)
