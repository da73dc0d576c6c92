"""SSR and SSR+ as the paper writes them: loops over samples, classes and features. Shares nothing with the package.

x are the images, y the given labels, z the features of the training set, f the network, theta_r and theta_s the
thresholds, k the number of neighbors.
"""

import math

import torch

from tests.reference.co_teaching import descend
from tests.reference.losses import cross_entropy, one_hot, softmax


def relabel(y, p, theta_r):
    return [p_i.index(max(p_i)) if max(p_i) > theta_r else y_i for y_i, p_i in zip(y, p, strict=True)]


def cosine(a, b):
    length = math.sqrt(sum(v * v for v in a)) * math.sqrt(sum(v * v for v in b))
    return sum(v * w for v, w in zip(a, b, strict=True)) / length


def votes(z, labels, k, classes, balance):
    """Return the normalized votes of each sample's k nearest neighbors, itself among them."""
    result = []
    for z_i in z:
        order = sorted(range(len(z)), key=lambda j: -cosine(z_i, z[j]))
        q = [0.0] * classes
        for j in order[:k]:
            q[labels[j]] += 1 / k
        if balance:
            q = [q_c / (labels.count(c) / len(labels)) if labels.count(c) else 0.0 for c, q_c in enumerate(q)]
        result.append([q_c / sum(q) for q_c in q])
    return result


def select(q, labels, theta_s):
    return [q_i[c] / max(q_i) >= theta_s for q_i, c in zip(q, labels, strict=True)]


def mixed_objective(f, rows, labels, weights, share, partner):
    """Return the loss of mixed rows, each with its label and the weight of its class."""
    loss, total = torch.zeros(()), 0.0
    for n, m in enumerate(partner):
        p = softmax(f((share * rows[n] + (1 - share) * rows[m])[None])[0])
        weight = weights[n] * weights[m]
        for part, at in ((share, n), (1 - share, m)):
            loss = loss + weight * part * cross_entropy(p, one_hot(labels[at], len(p)))
        total += weight
    return loss / total if total else loss


def weights(labels, kept, classes):
    """Return what makes classes weigh the same: inverse to their number of samples kept, 1 on average."""
    counts = [sum(c == label and keep for label, keep in zip(labels, kept, strict=True)) for c in range(classes)]
    present = sum(count > 0 for count in counts)
    return [sum(kept) / present / counts[c] if keep else 0.0 for c, keep in zip(labels, kept, strict=True)]


def linear(layer, row):
    return [
        sum(w * v for w, v in zip(ws, row, strict=True)) + b for ws, b in zip(layer.weight, layer.bias, strict=True)
    ]


def head(layers, rows):
    """Linear, batch normalization with the statistics of the batch, ReLU, linear."""
    first, norm, _, last = layers
    hidden = [linear(first, row) for row in rows]
    for d in range(len(hidden[0])):
        mean = sum(row[d] for row in hidden) / len(hidden)
        variance = sum((row[d] - mean) ** 2 for row in hidden) / len(hidden)
        for row in hidden:
            row[d] = (row[d] - mean) / torch.sqrt(variance + 1e-5) * norm.weight[d] + norm.bias[d]
    return [linear(last, [v if v > 0 else 0 * v for v in row]) for row in hidden]


def consistency_objective(features, projection, prediction, strong, weak):
    predicted = head(prediction, head(projection, features(strong)))
    target = [[v.detach() for v in row] for row in head(projection, features(weak))]
    loss = torch.zeros(())
    for a, b in zip(predicted, target, strict=True):
        length = torch.sqrt(sum(v * v for v in a)) * torch.sqrt(sum(v * v for v in b))
        loss = loss - sum(v * w for v, w in zip(a, b, strict=True)) / length
    return loss / len(predicted)


def step(modules, loss, eta):
    descend(torch.nn.ModuleList(modules), loss, eta)
    return loss.item()
