"""What a method needs of the parts of a batch that other processes hold; a single process holds all of it.

Each rank steps on its part of a batch and DistributedDataParallel averages the ranks' gradients. A method that compares
the samples of a batch, or remembers something of them, must see all parts, so that the result is the same on any number
of ranks.
"""

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def places(count: int, device: torch.device) -> Tensor:
    """Return numbers (B,) by which the samples of all ranks can be sorted as one process has them in its batch.

    Args:
        count: B, of this rank, which has every n-th sample of the batch, n being the number of ranks.
        device: Where the numbers shall be.
    """
    rank = dist.get_rank() if world_size() > 1 else 0
    return torch.arange(count, device=device) * world_size() + rank


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


def gather_with_gradient(value: Tensor) -> Tensor:
    """Return the ranks' values as `gather` does, with a gradient for this rank's own.

    It is for what every rank computes of the whole batch, such as batch statistics of few features: of the mean over
    the batch, the gradients that DistributedDataParallel averages over the ranks are then those of a single process.
    """
    if world_size() == 1:
        return value
    sizes = gather(torch.tensor([len(value)], device=value.device))
    start = int(sizes[: dist.get_rank()].sum())
    own = value.detach() + world_size() * (value - value.detach())
    everything = gather(value)
    return torch.cat([everything[:start], own, everything[start + len(value) :]])


def total(value: Tensor) -> Tensor:
    """Return the sum over ranks of a value, without gradient."""
    value = value.detach().clone()
    if world_size() > 1:
        dist.all_reduce(value)
    return value


def batch_mean(losses: Tensor) -> Tensor:
    """Return this rank's part of the mean loss of the whole batch, from its losses (B,).

    Averaged over the ranks, the parts give that mean, and their gradients, which DistributedDataParallel averages, give
    its gradient. Plain means would do so only if all ranks had equally many samples; in a last batch they may not.
    """
    if world_size() == 1:
        return losses.mean()
    return losses.sum() / (total(losses.new_tensor(len(losses))) / world_size())


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """Return this rank's part of Σ w·loss / Σ w over the whole batch; see `batch_mean`.

    Args:
        losses: (B,) of this rank's samples.
        weights: (B,) >= 0, bool or float; no gradient flows through their sum. Where all are 0, the mean is 0.
    """
    share = total(weights.float().sum()) / world_size()
    return (losses * weights).sum() / torch.where(share > 0, share, 1)
