"""What the nearest neighbors of a sample, by its features, say of its label."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Rows whose similarities to all samples are in memory at a time: 100 MB of them for 50,000 samples.
_BLOCK = 512


def neighbor_votes(features: Tensor, labels: Tensor, neighbors: int, num_classes: int) -> Tensor:
    """Return the share of each label (n, K) among the nearest neighbors by cosine, to which a sample itself belongs.

    Args:
        features: (n, D), of any length.
        labels: (n,) in [0, K).
        neighbors: k >= 1; all, where there are fewer.
        num_classes: K.
    """
    unit = F.normalize(features, dim=1)
    k = min(neighbors, len(features))
    votes = features.new_zeros(len(features), num_classes)
    for rows, counts in zip(torch.split(unit, _BLOCK), torch.split(votes, _BLOCK), strict=True):
        nearest = (rows @ unit.T).topk(k, sorted=False).indices
        counts.scatter_add_(1, labels[nearest], torch.ones_like(nearest, dtype=votes.dtype))
    return votes / k


def balanced(votes: Tensor, labels: Tensor) -> Tensor:
    """Return votes (n, K), each class divided by its share in the labels (n,), and each row by its sum."""
    share = torch.bincount(labels, minlength=votes.shape[1]) / len(labels)
    return F.normalize(torch.where(share > 0, votes / share, 0), p=1.0, dim=1)
