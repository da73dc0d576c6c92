"""How often an epoch of training serves the samples of each given class."""

from typing import Literal

import torch
from torch import Tensor

Sampling = Literal["natural", "undersample", "oversample", "sqrt"]


def repeats(sampling: Sampling) -> bool:
    """Return whether an epoch may serve a sample more than once."""
    return sampling in ("oversample", "sqrt")


def served_counts(sizes: Tensor, sampling: Sampling) -> Tensor:
    """Return how many samples of each class an epoch serves, (K,) int64; 0 for a class that has none.

    - `natural`: all.
    - `undersample`: as many as the smallest class has.
    - `oversample`: as many as the largest class has.
    - `sqrt`: of as many samples as there are, a share proportional to the square root of the size of the class
      (Mikolov et al., NeurIPS 2013; Mahajan et al., ECCV 2018). Shares are rounded down, and what is then missing goes
      to the classes that lost most by it, of equals to the first. No class that has samples is left without.

    Args:
        sizes: (K,) int64, how many samples each class has.
        sampling: One of the above.
    """
    if sampling == "natural":
        return sizes
    there = sizes > 0
    if sampling == "undersample":
        return there * sizes[there].min()
    if sampling == "oversample":
        return there * sizes.max()
    roots = sizes.double().sqrt()
    shares = roots * (sizes.sum() / roots.sum())
    served = shares.floor().long()
    lost = (shares - served).argsort(descending=True, stable=True)
    served[lost[: int(sizes.sum() - served.sum())]] += 1
    return served


def appearances(classes: Tensor, served: Tensor) -> Tensor:
    """Return how often each sample appears, (n,): within a class equally often, the first ones of it once more.

    Args:
        classes: (n,) class of each sample, in [0, K), in an order drawn at random.
        served: (K,) how many samples of each class are served; 0 where there are none.
    """
    sizes = classes.bincount(minlength=len(served))
    by_class = classes.argsort(stable=True)
    # Where each sample stands among those of its class.
    place = torch.empty_like(classes)
    place[by_class] = torch.arange(len(classes)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    at_least = sizes.clamp(min=1)
    return (served // at_least)[classes] + (place < (served % at_least)[classes])
