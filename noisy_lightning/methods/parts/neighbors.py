"""What the nearest neighbors of a sample, by its features, say of its label."""

import torch
import torch.nn.functional as F
from torch import Tensor

from noisy_lightning.methods.parts.cosine_neighbors import cosine_neighbors


def neighbor_votes(features: Tensor, labels: Tensor, neighbors: int, num_classes: int) -> Tensor:
    """Return the share of each label (n, K) among the nearest neighbors by cosine, to which a sample itself belongs.

    Args:
        features: (n, D), of any length.
        labels: (n,) in [0, K).
        neighbors: k >= 1; all, where there are fewer.
        num_classes: K.
    """
    votes = F.one_hot(labels, num_classes).to(features.dtype)
    k = min(neighbors, len(features))
    if k > 1:
        others = cosine_neighbors(F.normalize(features, dim=1), k - 1).positions
        votes.scatter_add_(1, labels[others], torch.ones_like(others, dtype=votes.dtype))
    return votes / k


def balanced(votes: Tensor, labels: Tensor) -> Tensor:
    """Return votes (n, K), each class divided by its share in the labels (n,), and each row by its sum."""
    share = torch.bincount(labels, minlength=votes.shape[1]) / len(labels)
    return F.normalize(torch.where(share > 0, votes / share, 0), p=1.0, dim=1)
