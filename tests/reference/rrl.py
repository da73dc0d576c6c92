"""RRL as the specification writes it, in loops. Shares nothing with the package.

embed gives (logits, features, v) of one image, decode the features from v; prototypes is a list with None for a class
that has none.
"""

import math

import torch

from tests.reference.losses import cross_entropy, one_hot, softmax
from tests.reference.unicon import unit


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def keep_given(soft, y, low):
    return one_hot(y, len(soft)) if soft[y] > low else soft


def correct(p, z, labels, soft, k, tau, low, high):
    """Return the new soft labels, labels and which samples are clean; soft is None at first."""
    n, classes = len(labels), len(p[0])
    if soft is None:
        soft = [keep_given(p[i], labels[i], low) for i in range(n)]
    new = []
    for i in range(n):
        near = sorted((j for j in range(n) if j != i), key=lambda j: -dot(z[i], z[j]))[:k]
        w = [math.exp(dot(z[i], z[j]) / tau) for j in near]
        s = [sum(w_j * soft[j][c] for w_j, j in zip(w, near, strict=True)) / sum(w) for c in range(classes)]
        q = [(s_c + p_c) / 2 for s_c, p_c in zip(s, p[i], strict=True)]
        new.append(keep_given(q, labels[i], low))
    return new, [q.index(max(q)) for q in new], [max(q) > high for q in new]


def class_means(z, labels, clean, classes):
    prototypes: list[list[float] | None] = []
    for c in range(classes):
        members = [z_i for z_i, y, kept in zip(z, labels, clean, strict=True) if y == c and kept]
        total = [sum(column) for column in zip(*members, strict=True)]
        length = math.sqrt(dot(total, total)) if members else 1.0
        prototypes.append([value / length for value in total] if members else None)
    return prototypes


def reconstruction(f, v, decode):
    errors = [(r_j - f_j) ** 2 for r_j, f_j in zip(decode(v), f, strict=True)]
    return sum(errors) / len(errors)


def prototype_loss(z, y, prototypes, tau):
    e = {c: torch.exp(dot(z, proto) / tau) for c, proto in enumerate(prototypes) if proto is not None}
    return -torch.log(e[y] / sum(e.values()))


def contrast(z, other, tau):
    """Anchors are the weak views alone, each with 2 (n - 1) negatives."""
    n, losses = len(z), []
    for i in range(n):
        negatives = [z[j] for j in range(n) if j != i] + [other[j] for j in range(n) if j != i]
        e = [torch.exp(dot(z[i], one) / tau) for one in [other[i], *negatives]]
        losses.append(torch.log(sum(e) / e[0]))
    return sum(losses) / n


def rrl_loss(embed, decode, weak, strong, y, clean, prototypes, tau, omega, lam, partner, warming):
    """Return the loss; partner is by row: the places in the batch of weak views, then of strong ones."""
    n, total = len(y), 0.0
    first, second = [embed(x) for x in weak], [embed(x) for x in strong]
    chosen = [i for i in range(n) if clean[i]]
    for i in chosen:
        total += cross_entropy(softmax(first[i][0]), one_hot(y[i], len(first[i][0]))) / len(chosen)
    for _, f, v in first if warming else first + second:
        total += reconstruction(f, v, decode) / n
    if warming:
        return total
    total += contrast([unit(v) for _, _, v in first], [unit(v) for _, _, v in second], tau)
    images = [*weak, *strong]
    for i in [*chosen, *(n + i for i in chosen)] if prototypes else []:
        j = partner[i]
        mixed = unit(embed(lam * images[i] + (1 - lam) * images[j])[2])
        losses = [share * prototype_loss(mixed, y[of % n], prototypes, tau) for share, of in ((lam, i), (1 - lam, j))]
        total += omega * sum(losses) / (2 * len(chosen))
    return total
