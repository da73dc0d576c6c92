"""L2RW (Ren et al., ICML 2018) and Meta-Weight-Net (Shu et al., NeurIPS 2019) as their papers write them.

Virtual steps are taken and differentiated as such. Shares nothing with the package. θ is the list [W1, b1, W2, b2] of a
network with one hidden layer of tanh, φ that of V, with ReLU and a sigmoid; samples are looped over.
"""

import torch


def cross_entropy(theta, x, y):
    """−log p_y of one sample."""
    w1, b1, w2, b2 = theta
    logits = w2 @ torch.tanh(w1 @ x + b1) + b2
    return torch.log(torch.exp(logits).sum()) - logits[y]


def mean_loss(theta, samples):
    return sum(cross_entropy(theta, x, y) for x, y in samples) / len(samples)


def l2rw_weights(theta, samples, clean, weight_decay, alpha):
    """Lines 4 to 12 of algorithm 1."""
    epsilon = torch.zeros(len(samples), dtype=torch.float64, requires_grad=True)
    weighted = sum(e * cross_entropy(theta, x, y) for e, (x, y) in zip(epsilon, samples, strict=True))
    gradients = torch.autograd.grad(weighted, theta, create_graph=True)
    moved = [w - alpha * g for w, g in zip(theta, gradients, strict=True)]
    cost = mean_loss(moved, clean) + weight_decay / 2 * sum((w * w).sum() for w in moved if w.dim() > 1)
    (slope,) = torch.autograd.grad(cost, epsilon)
    positive = [max(-value.item(), 0.0) for value in slope]
    total = sum(positive) or 1.0
    return [value / total for value in positive]


def v(phi, loss):
    w1, b1, w2, b2 = phi
    return torch.sigmoid(w2 @ torch.relu(w1 @ loss.reshape(1) + b1) + b2)[0]


def weighted_loss(theta, phi, samples, normalize):
    losses = [cross_entropy(theta, x, y) for x, y in samples]
    weights = [v(phi, loss.detach()) for loss in losses]
    divisor = sum(weights) if normalize else len(losses)
    return sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / divisor


def slope_of_v(theta, phi, samples, clean, alpha, normalize):
    """The gradient of the clean loss after the virtual step, with respect to φ."""
    loss = weighted_loss(theta, phi, samples, normalize)
    gradients = torch.autograd.grad(loss, theta, create_graph=True)
    moved = [w - alpha * g for w, g in zip(theta, gradients, strict=True)]
    return torch.autograd.grad(mean_loss(moved, clean), phi)
