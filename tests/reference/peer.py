"""Peer loss (Liu and Guo, ICML 2020) and f-divergence (Wei and Liu, ICLR 2021) in loops, apart from the package.

Probabilities are lists of K scalars a sample; peers are those of other images, with labels of yet others.
"""

import math

import torch

FORMS = {
    "total_variation": (lambda v: torch.tanh(v) / 2, lambda v: torch.tanh(v) / 2),
    "jensen_shannon": (
        lambda v: math.log(2) - torch.log(1 + torch.exp(-v)),
        lambda v: v + torch.log(1 + torch.exp(-v)) - math.log(2),
    ),
    "pearson": (lambda v: v, lambda v: v * v / 4 + v),
    "kl": (lambda v: v, lambda v: torch.exp(v - 1)),
    "jeffrey": (lambda v: v, lambda v: v + v * v / 4 + v * v * v / 16),
}


def peer_loss(samples, labels, peers, peer_labels, alpha):
    """Mean of −log(p_y + 1e-5) minus α times that of the peers."""
    first = sum(-torch.log(p[y] + 1e-5) for p, y in zip(samples, labels, strict=True)) / len(samples)
    second = sum(-torch.log(p[y] + 1e-5) for p, y in zip(peers, peer_labels, strict=True)) / len(peers)
    return first - alpha * second


def divergence(kind, samples, labels, peers, peer_labels, added):
    """Mean g(v) − mean f*(g(v′))."""
    g, f = FORMS[kind]
    first = sum(g(p[y] + added) for p, y in zip(samples, labels, strict=True)) / len(samples)
    second = sum(f(p[y] + added) for p, y in zip(peers, peer_labels, strict=True)) / len(peers)
    return first - second


def published_alpha(epoch):
    """α of CIFAR-10 as the authors concatenate it from pieces of equal steps."""
    pieces = [(0, 0, 20), (0, 0.1, 20), (1, 2, 50), (2, 2.5, 50), (2.5, 3.3, 100), (3.3, 5, 100)]
    values = []
    for low, high, number in pieces:
        values += [low + (high - low) * n / (number - 1) for n in range(number)]
    return values[epoch]
