"""MixFix as the specification writes it, in loops. Shares nothing with the package."""

import torch

from tests.reference.losses import cross_entropy, one_hot, softmax


def fix(p, y, absorb, relabel):
    """Return the label with which a sample joins, None if it does not."""
    best = p.index(max(p))
    if best == y:
        return y if p[y] >= absorb else None
    return best if p[best] >= relabel else None


def class_weights(labels, classes):
    """Return the weight of each class, 0 for one that is not there."""
    counts = [sum(y == c for y in labels) for c in range(classes)]
    there = sum(count > 0 for count in counts)
    return [sum(counts) / (there * count) if count else 0.0 for count in counts]


def batch_loss(f, x, y, w, share, partner):
    """Return the loss; y has None for what does not take part, partner is by the place in the batch."""
    chosen = [i for i in range(len(y)) if y[i] is not None]
    total = torch.zeros(())
    for i in chosen:
        j = partner[i]
        p = softmax(f(share * x[i] + (1 - share) * x[j]))
        for part, of in ((share, i), (1 - share, j)):
            total = total + w[y[i]] * part * cross_entropy(p, one_hot(y[of], len(p))) / len(chosen)
    return total
