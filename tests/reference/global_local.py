"""The global-local rule and its training as the specification writes them, in loops. Shares nothing with the package.

upper(values) gives the probabilities of the higher of two Gaussians.
"""

import math

import torch

from tests.reference.losses import cross_entropy, one_hot, softmax


def unit(rows):
    center = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    moved = [[v - c for v, c in zip(row, center, strict=True)] for row in rows]
    return [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in moved]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def prototype(rows):
    return [sum(column) for column in zip(*rows, strict=True)]


def margin(i, z, labels, classes):
    s = []
    for c in range(classes):
        others = [z[j] for j in range(len(z)) if labels[j] == c and j != i]
        s.append(cosine(z[i], prototype(others)))
    return s[labels[i]] - max(s[c] for c in range(classes) if c != labels[i])


def partition(z, labels, classes, upper, clean, noisy, local, k):
    """Return the part of each sample, and whether a mixture has decided on the doubtful ones."""
    p = upper([margin(i, z, labels, classes) for i in range(len(z))])
    parts = ["clean" if p_i >= clean else "noisy" if 1 - p_i >= noisy else "doubtful" for p_i in p]
    doubtful = [i for i, part in enumerate(parts) if part == "doubtful"]
    share = []
    for i in doubtful:
        near = sorted((j for j in range(len(z)) if j != i), key=lambda j: -cosine(z[i], z[j]))[:k]
        share.append(sum(labels[j] == labels[i] for j in near) / k)
    mixed = len(doubtful) >= max(50, 2 * k) and min(share) < max(share)
    if not mixed:
        middle = sorted(share)
        median = (middle[(len(share) - 1) // 2] + middle[len(share) // 2]) / 2 if share else 0
        hard = [s >= median for s in share]
    else:
        hard = [1 - u < local for u in upper(share)]
    for i, kept in zip(doubtful, hard, strict=True):
        parts[i] = "hard" if kept else "noisy"
    return parts, mixed


def soft_target(i, z, labels, parts, classes, temperature):
    """Return q and its confidence."""
    s = []
    for c in range(classes):
        members = [z[j] for j in range(len(z)) if labels[j] == c and parts[j] == "clean" and j != i]
        s.append(cosine(z[i], prototype(members)) / temperature)
    total = sum(math.exp(s_c) for s_c in s)
    q = [math.exp(s_c) / total for s_c in s]
    return q, 1 + sum(q_c * math.log(q_c) for q_c in q) / math.log(classes)


def batch_loss(logits, labels, parts, targets, q):
    """Return the loss; targets has q and confidence of each sample."""
    total, number = torch.zeros(()), 0.0
    for z, y, part, (target, confidence) in zip(logits, labels, parts, targets, strict=True):
        p = softmax(z)
        if part == "clean":
            total = total + cross_entropy(p, one_hot(y, len(p)))
        elif part == "hard":
            total = total + (1 - p[y] ** q) / q
        else:
            total = total + confidence * cross_entropy(p, target)
        number += confidence if part == "noisy" else 1
    return total / number
