"""CAL (Zhu, Liu and Liu, CVPR 2021) in loops over samples and labels. Shares nothing with the package.

Probabilities are lists of K scalars a sample.
"""

import math

import torch


def alpha_at(epoch, final, warm_up, ramp):
    """0, then as by numpy.linspace, then constant."""
    if epoch < warm_up:
        return 0.0
    if epoch < warm_up + ramp:
        return final * (epoch - warm_up) / (ramp - 1)
    return final


def first_prior(labels, classes):
    roots = [math.sqrt(labels.count(k)) for k in range(classes)]
    return [root / sum(roots) for root in roots]


def second_prior(labels, classes):
    return [labels.count(k) / len(labels) for k in range(classes)]


def regularized(p, y, prior, alpha, factor):
    """CE − α·factor·Σ prior·CE_k."""
    return -torch.log(p[y] + 1e-8) + alpha * factor * sum(
        share * torch.log(p_k + 1e-5) for share, p_k in zip(prior, p, strict=True)
    )


def distilled(p, y, threshold):
    """The given label where it costs far less than labels do on average, else the predicted one."""
    p = [value.item() for value in p]
    every = [-math.log(value + 1e-8) for value in p]
    return y if every[y] - sum(every) / len(every) < threshold else p.index(max(p))


def counted(guessed, labels, classes):
    """P(i) and P(given = j | i)."""
    shares = [guessed.count(i) / len(guessed) for i in range(classes)]
    matrix = []
    for i in range(classes):
        own = [y for d, y in zip(guessed, labels, strict=True) if d == i]
        matrix.append([own.count(j) / len(own) if own else float(i == j) for j in range(classes)])
    return shares, matrix


def covariance(samples, labels, guessed, shares, matrix, means):
    """Σ_i P(i) · mean over the samples of class i."""
    term = torch.zeros((), dtype=torch.float64)
    for i in range(len(shares)):
        own = [(p, y) for p, y, d in zip(samples, labels, guessed, strict=True) if d == i]
        for p, y in own:
            for j in range(len(shares)):
                centered = -torch.log(p[j] + 1e-5) - means[i][j]
                term = term + shares[i] / len(own) * ((y == j) - matrix[i][j]) * centered
    return term


def means_of(samples, guessed, classes):
    """m[i][j] over all samples of an epoch."""
    means = []
    for i in range(classes):
        own = [p for p, d in zip(samples, guessed, strict=True) if d == i]
        means.append([sum(-math.log(p[j] + 1e-5) for p in own) / len(own) if own else 0.0 for j in range(classes)])
    return means
