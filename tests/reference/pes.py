"""PES and PES(semi) as the paper writes them: loops over samples, classes and weights. Shares nothing with the package.

f is the network, y the given labels, w the weight of each class, eta the learning rate of plain SGD.
"""

import math

import torch

from tests.reference.co_teaching import descend
from tests.reference.divide_mix import sharpen
from tests.reference.losses import cross_entropy, one_hot, softmax


def confident(views, y):
    """Return which samples have their label predicted; views are two lists of probabilities."""
    result = []
    for p, q, label in zip(*views, y, strict=True):
        mean = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        result.append(mean.index(max(mean)) == label)
    return result


def class_weights(y, clean, classes):
    counts = [sum(label == c and keep for label, keep in zip(y, clean, strict=True)) for c in range(classes)]
    present = [count for count in counts if count > 0]
    return [sum(present) / len(present) / count if count > 0 else 0.0 for count in counts]


def mean_loss(f, x, y):
    return sum(cross_entropy(p, one_hot(int(c), len(p))) for p, c in zip(map(softmax, f(x)), y, strict=True)) / len(y)


def confident_objective(f, x, y, clean, w):
    loss, total = torch.zeros(()), 0.0
    for p, c, keep in zip(map(softmax, f(x)), y.tolist(), clean, strict=True):
        if keep:
            loss, total = loss + w[c] * cross_entropy(p, one_hot(c, len(p))), total + w[c]
    return loss / total if total else loss


def guesses(f, x1, x2, temperature):
    pairs = zip(map(softmax, f(x1).detach()), map(softmax, f(x2).detach()), strict=True)
    return [sharpen([(a + b) / 2 for a, b in zip(p, q, strict=True)], temperature) for p, q in pairs]


def mixmatch_objective(f, rows, targets, labeled, w, lam, share, partner):
    l_x, l_u = [], []
    for n, m in enumerate(partner):
        p = softmax(f((share * rows[n] + (1 - share) * rows[m])[None])[0])
        t = [share * a + (1 - share) * b for a, b in zip(targets[n], targets[m], strict=True)]
        if labeled[n]:
            l_x.append(-sum(w[c] * t[c] * torch.log(p[c]) for c in range(len(p))))
        else:
            l_u.append(sum((p[c] - t[c]) ** 2 for c in range(len(p))) / len(p))
    loss = torch.zeros(())
    if l_x:
        loss = loss + sum(l_x) / len(l_x)
    if l_u:
        loss = loss + lam * sum(l_u) / len(l_u)
    return loss


class Adam:
    def __init__(self, weights, lr):
        self.weights, self.lr, self.t = list(weights), lr, 0
        self.m = [[0.0] * weight.numel() for weight in self.weights]
        self.v = [[0.0] * weight.numel() for weight in self.weights]

    @torch.no_grad()
    def step(self, gradients):
        self.t += 1
        for weight, gradient, m, v in zip(self.weights, gradients, self.m, self.v, strict=True):
            flat = weight.view(-1)
            for k, g in enumerate(gradient.reshape(-1).tolist()):
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g * g
                m_hat, v_hat = m[k] / (1 - 0.9**self.t), v[k] / (1 - 0.999**self.t)
                flat[k] -= self.lr * m_hat / (math.sqrt(v_hat) + 1e-8)


def tail_step(adam, loss):
    adam.step(torch.autograd.grad(loss, adam.weights))
    return loss.item()


def step(f, loss, eta):
    descend(f, loss, eta)
    return loss.item()
