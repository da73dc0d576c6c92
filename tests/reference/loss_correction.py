"""Patrini et al. (CVPR 2017) as they write it: loops over samples and classes. Shares nothing with the package.

T is a list of K rows; f is the network, x and y the samples and labels of a batch, eta the learning rate of plain SGD.
"""

import math

import torch

from tests.reference.losses import cross_entropy, one_hot, softmax


def forward_loss(p, y, T):  # noqa: N803
    """ℓ→: −log of the y-th entry of Tᵀ p."""
    return -torch.log(sum(p[i] * T[i][y] for i in range(len(p))))


def backward_loss(p, y, T_inverse):  # noqa: N803
    """ℓ←: the y-th entry of T⁻¹ ℓ(p), with p clipped as by K.clip(y_pred, K.epsilon(), 1 − K.epsilon())."""
    p = [torch.clamp(p_k, 1e-7, 1 - 1e-7) for p_k in p]
    return sum(T_inverse[y][k] * cross_entropy(p, one_hot(k, len(p))) for k in range(len(p)))


def inverse(T):  # noqa: N803
    """Gauss and Jordan's elimination."""
    size = len(T)
    rows = [[float(v) for v in row] + one_hot(i, size) for i, row in enumerate(T)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(size):
            if r != i:
                factor = rows[r][i]
                rows[r] = [v - factor * w for v, w in zip(rows[r], rows[i], strict=True)]
    return [row[size:] for row in rows]


def percentile_higher(values, percent):
    """As numpy.percentile(values, percent, method="higher")."""
    ordered = sorted(values)
    return ordered[math.ceil(percent * (len(ordered) - 1) / 100)]


def estimate(eta, percent, in_place):
    """Return T from the probabilities eta of all samples, as in the authors' NoiseEstimator.fit with row_normalize.

    in_place: whether the scores above the percentile stay zero, as they do in the authors' code, where `robust_eta` is
    a view of `eta`.
    """
    eta = [list(row) for row in eta]
    num_classes = len(eta[0])
    T = []  # noqa: N806
    for i in range(num_classes):
        column = [row[i] for row in eta]
        if percent < 100:
            threshold = percentile_higher(column, percent)
            for n in range(len(eta)):
                if column[n] >= threshold:
                    column[n] = 0.0
                    if in_place:
                        eta[n][i] = 0.0
        best = column.index(max(column))
        total = sum(eta[best])
        T.append([v / total for v in eta[best]])
    return T


def probabilities(f, x):
    return [softmax(f(x_i[None])[0]) for x_i in x]


def descend(f, losses, eta):
    """One step on the mean of the losses."""
    gradients = torch.autograd.grad(sum(losses) / len(losses), list(f.parameters()))
    with torch.no_grad():
        for w, gradient in zip(f.parameters(), gradients, strict=True):
            w.sub_(eta * gradient)
