"""UNICON and SimCLR's contrast as the specification writes them, in loops. Shares nothing with the package."""

import math

import torch

from tests.reference.divide_mix import co_guess, co_refine, mixmatch_loss
from tests.reference.losses import one_hot


def kl(p, q):
    return sum(p_c * math.log((p_c + 1e-10) / (q_c + 1e-10)) for p_c, q_c in zip(p, q, strict=True))


def jsd(p, q):
    m = [(p_c + q_c) / 2 for p_c, q_c in zip(p, q, strict=True)]
    return kl(p, m) / 2 + kl(q, m) / 2


def select(p_1, p_2, labels, classes):
    """Return w of each sample, 0 for the unlabeled; p_1 and p_2 are the probabilities by both networks."""
    d = []
    for p, q, y in zip(p_1, p_2, labels, strict=True):
        mean = [(p_c + q_c) / 2 for p_c, q_c in zip(p, q, strict=True)]
        d.append(jsd(mean, one_hot(y, classes)))
    d_cut = sum(d) / len(d)
    ratio = sum(d_i < d_cut for d_i in d) / len(d)
    quota = int(ratio * len(d) / classes)
    w = [0.0] * len(d)
    for c in range(classes):
        members = sorted((d_i, i) for i, d_i in enumerate(d) if labels[i] == c)
        for d_i, i in members[:quota]:
            w[i] = 1.0 if d_i < 0.5 else 1 - d_i
    return w


def batch_norm(rows, gamma, beta, eps=1e-5):
    n, width = len(rows), len(rows[0])
    columns = []
    for k in range(width):
        mean = sum(row[k] for row in rows) / n
        variance = sum((row[k] - mean) ** 2 for row in rows) / n
        columns.append([gamma[k] * (row[k] - mean) / torch.sqrt(variance + eps) + beta[k] for row in rows])
    return [[column[i] for column in columns] for i in range(n)]


def unit(row):
    length = torch.sqrt(sum(value**2 for value in row))
    return [value / length for value in row]


def project(features, layer, norm):
    """Return unit vectors; layer has weight and bias, norm too."""
    rows = [
        [
            sum(a * f_j for a, f_j in zip(row, f, strict=True)) + b
            for row, b in zip(layer.weight, layer.bias, strict=True)
        ]
        for f in features
    ]
    return [unit(row) for row in batch_norm(rows, norm.weight, norm.bias)]


def simclr(z_1, z_2, temperature):
    z, n = [*z_1, *z_2], len(z_1)
    total = 0.0
    for i in range(2 * n):
        s = [sum(a * b for a, b in zip(z[i], z_j, strict=True)) / temperature for z_j in z]
        positive = s[(i + n) % (2 * n)]
        others = torch.stack([torch.exp(s[j]) for j in range(2 * n) if j != i])
        total += torch.log(others.sum()) - positive
    return total / (2 * n)


def unicon_loss(
    f, features, layer, norm, weak, strong, other_logits, y, w, temperature, lam, lam_c, t_c, share, partner
):
    """Return the loss of one network f; rows are the first views of all samples, then their second views."""
    n = len(y)
    own = [[f(x[i]).detach() for i in range(n)] for x in weak]
    targets = []
    for i in range(n):
        own_i, other_i = [z[i] for z in own], [z[i] for z in other_logits]
        if w[i] > 0:
            targets.append(co_refine(y[i], w[i], own_i, temperature))
        else:
            targets.append(co_guess(own_i, other_i, temperature))
    rows, row_targets, share = [*strong[0], *strong[1]], targets + targets, max(share, 1 - share)
    logits: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    mixed: dict[bool, list[list[torch.Tensor]]] = {True: [], False: []}
    for i in range(2 * n):
        logits[w[i % n] > 0].append(f(share * rows[i] + (1 - share) * rows[partner[i]]))
        pairs = zip(row_targets[i], row_targets[partner[i]], strict=True)
        mixed[w[i % n] > 0].append([share * a + (1 - share) * b for a, b in pairs])
    loss = mixmatch_loss(logits[True], mixed[True], logits[False], mixed[False], lam)
    u = [i for i in range(n) if w[i] == 0]
    if len(u) > 1:
        z_1, z_2 = (project([features(x[i]) for i in u], layer, norm) for x in strong)
        loss = loss + lam_c * simclr(z_1, z_2, t_c)
    return loss
