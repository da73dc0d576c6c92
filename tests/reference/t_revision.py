"""T-Revision (Xia et al., NeurIPS 2019) in loops over samples and classes. Shares nothing with the package.

T and D are lists of K rows: the estimated matrix and its correction ΔT.
"""

import torch


def beta(p, y, T, D):  # noqa: N803
    """p_y / ((T + ΔT)ᵀ p)_y."""
    return p[y] / sum((T[i][y] + D[i][y]) * p[i] for i in range(len(p)))


def reweighted(p, y, T):  # noqa: N803
    """The second stage: β·ℓ, without gradient through β."""
    zero = [[0.0] * len(p) for _ in p]
    return beta(p, y, T, zero).item() * -torch.log(p[y])


def revised(p, y, T, D):  # noqa: N803
    """The third stage: β·ℓ, with it."""
    return beta(p, y, T, D) * -torch.log(p[y])


class Adam:
    """Of a list of K rows of leaves, as in Kingma and Ba's algorithm 1, with L2 weight decay."""

    def __init__(self, rows, lr, weight_decay):
        self.rows, self.lr, self.weight_decay = rows, lr, weight_decay
        self.m = [[0.0] * len(row) for row in rows]
        self.v = [[0.0] * len(row) for row in rows]
        self.t = 0

    def step(self, gradients):
        self.t += 1
        for i, row in enumerate(self.rows):
            for j, value in enumerate(row):
                g = gradients[i][j] + self.weight_decay * value.item()
                self.m[i][j] = 0.9 * self.m[i][j] + 0.1 * g
                self.v[i][j] = 0.999 * self.v[i][j] + 0.001 * g * g
                m = self.m[i][j] / (1 - 0.9**self.t)
                v = self.v[i][j] / (1 - 0.999**self.t)
                with torch.no_grad():
                    value.sub_(self.lr * m / (v**0.5 + 1e-8))
