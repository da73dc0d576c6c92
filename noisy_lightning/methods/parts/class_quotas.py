"""The same number of samples of each class, so that no class is left out because it is hard."""

import torch
from torch import Tensor


def smallest_of_classes(values: Tensor, labels: Tensor, num_classes: int, quota: int) -> Tensor:
    """Return which samples (n,) have one of the `quota` smallest values of their class; all of a class that has fewer.

    Args:
        values: (n,); of equal ones the first are smaller.
        labels: (n,) in [0, K).
        num_classes: K.
        quota: >= 0.
    """
    smallest = torch.zeros_like(labels, dtype=torch.bool)
    for label in range(num_classes):
        members = (labels == label).nonzero().squeeze(1)
        smallest[members[values[members].argsort(stable=True)[:quota]]] = True
    return smallest
