"""The transition matrix by which labels of neighbors agree as often as they do (HOC): Zhu, Song and Liu, ICML 2021."""

import torch
from torch import Tensor
from torch.nn import functional as F

DRAWN = 15_000
"""Samples that the authors count consensuses of; of fewer the estimate is shaky."""
MOST_CLASSES = 128
"""Above, K³ consensuses are more than samples can fill, and the fit takes minutes."""
_STEPS = ((399, 0.1), (19, 0.01))  # how many steps of Adam, and their learning rate; see `fit_consensus`
_COSINES = 2**26  # of one comparison at most: a quarter of a gigabyte


def fit_consensus(triples: Tensor, num_classes: int, start: Tensor) -> tuple[Tensor, Tensor]:
    """Return the transition matrix T (K, K) and the class shares P (K,), float64, that explain labels of neighbors.

    Where a sample and its two nearest neighbors are of one true class and each label is wrong independently of the two
    others, the shares of labels, pairs and triples of labels are

        c₁[a] = Σᵢ Pᵢ Tᵢₐ,  c₂[a, b] = Σᵢ Pᵢ Tᵢₐ Tᵢᵦ,  c₃[a, b, c] = Σᵢ Pᵢ Tᵢₐ Tᵢᵦ Tᵢ꜀.

    T is the softmax of rows that start at 5·I − 1, P that of numbers that start as given. Adam minimizes the sum of the
    three Frobenius norms of what is not explained, in 399 steps at 0.1 and 19 at 0.01; the last T counts. These are
    SimiFeat's 400 and 20, whose first moves nothing.

    Args:
        triples: (n, 3) given labels in [0, K) of samples and their two nearest neighbors; n >= 1.
        num_classes: K in [2, 128].
        start: (K,) float32; the authors draw 1/K + U(0, 0.1).
    """
    counted = [_shares(triples[:, : order + 1], num_classes) for order in range(3)]
    with torch.enable_grad():
        rows = (5 * torch.eye(num_classes) - 1).requires_grad_()
        shares = start.clone().requires_grad_()
        for steps, rate in _STEPS:
            optimizer = torch.optim.Adam([rows, shares], lr=rate)
            for _ in range(steps):
                optimizer.zero_grad()
                both = zip(explained(rows.softmax(1), shares.softmax(0)), counted, strict=True)
                loss = torch.stack([torch.linalg.vector_norm(a - b) for a, b in both]).sum()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    return rows.detach().double().softmax(1), shares.detach().double().softmax(0)


def _shares(labels: Tensor, num_classes: int) -> Tensor:
    """Return how often each combination of labels (n, m) occurs, (K, …, K) with m dimensions and sum 1."""
    order = labels.shape[1]
    places = sum(labels[:, m] * num_classes ** (order - 1 - m) for m in range(order))
    counts = torch.as_tensor(places).bincount(minlength=num_classes**order)
    return (counts.double() / len(labels)).float().view((num_classes,) * order)


def explained(transition: Tensor, priors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the shares of labels (K,), pairs (K, K) and triples (K, K, K) that follow from T (K, K) and P (K,)."""
    weighted = priors[:, None] * transition
    pairs = (transition[:, :, None] * transition[:, None, :]).flatten(1)
    size = len(priors)
    return weighted.sum(0), weighted.T @ transition, (weighted.T @ pairs).view(size, size, size)


def consensus_transition(features: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
    """Return the transition matrix (K, K), float64, by features and given labels.

    Neighbors are nearest by cosine, after the mean of all features has been taken from each.

    Args:
        features: (n, D), finite, of at least three samples.
        labels: (n,) given labels in [0, K).
        num_classes: K in [2, 128].
        generator: Draws up to 15,000 samples, of which and of whose neighbors the labels count, and the start of P.
    """
    unit = F.normalize(features.float() - features.float().mean(0), dim=1)
    drawn = torch.randperm(len(unit), generator=generator)[:DRAWN]
    nearest = []
    for rows in torch.split(drawn, max(1, _COSINES // len(unit))):
        cosines = unit[rows] @ unit.T
        cosines[torch.arange(len(rows)), rows] = -torch.inf
        nearest.append(cosines.topk(2).indices)
    triples = torch.cat([labels[drawn, None], labels[torch.cat(nearest)]], 1)
    start = 1 / num_classes + 0.1 * torch.rand(num_classes, generator=generator)
    return fit_consensus(triples, num_classes, start)[0]
