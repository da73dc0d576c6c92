"""DISC as the paper writes it: loops over samples and classes. Shares nothing with the package.

f is the network, w and s the weak and strong views, y the labels of a batch, i the positions in the training set, eta
the learning rate of plain SGD. p_w, p_s, tau_w, tau_s are lists over the training set.
"""

import torch

from tests.reference.co_teaching import descend
from tests.reference.losses import cross_entropy, generalized_cross_entropy, one_hot, softmax


def select(p_w, p_s, tau_w, tau_s, y, sigma):
    """Return the set of each sample, "clean", "hard", "purified" or None, and its label."""
    sets, labels = [], []
    for n in range(len(y)):
        above = [p_w[n][y[n]] > tau_w[n], p_s[n][y[n]] > tau_s[n]]
        mean = [(a + b) / 2 for a, b in zip(p_w[n], p_s[n], strict=True)]
        name, label = None, y[n]
        if all(above):
            name = "clean"
        elif any(above):
            name = "hard"
        elif max(mean) > min((tau_w[n] + tau_s[n]) / 2 + sigma, 0.99):
            name, label = "purified", mean.index(max(mean))
        sets.append(name)
        labels.append(label)
    return sets, labels


def follow(tau, p, m):
    return [m * tau_n + (1 - m) * max(p_n) for tau_n, p_n in zip(tau, p, strict=True)]


def warm_up_objective(f, w, s, y):
    loss = 0
    for n in range(len(y)):
        for view in (w, s):
            p = softmax(f(view[n][None])[0])
            loss = loss + cross_entropy(p, one_hot(int(y[n]), len(p)))
    return loss / len(y)


def objective(f, w, s, y, i, sets, labels, lambda_h, q, mixing):
    """Return the loss; mixing has, for each view, the share and for each member of the mix set the batch's partner."""
    loss = 0
    for n in range(len(y)):
        for view in (w, s):
            p = softmax(f(view[n][None])[0])
            e = one_hot(int(y[n]), len(p))
            if sets[i[n]] == "clean":
                loss = loss + cross_entropy(p, e) / len(y)
            if sets[i[n]] == "hard":
                loss = loss + lambda_h * generalized_cross_entropy(p, e, q) / len(y)
    for view, (share, partner) in zip((w, s), mixing, strict=True):
        for n, m in partner.items():
            p = softmax(f((share * view[n] + (1 - share) * view[m])[None])[0])
            for part, at in ((share, n), (1 - share, m)):
                loss = loss + part * cross_entropy(p, one_hot(labels[i[at]], len(p))) / len(partner)
    return loss


def step(f, loss, eta):
    descend(f, loss, eta)
    return torch.as_tensor(loss).item()
