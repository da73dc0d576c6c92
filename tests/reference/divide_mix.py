"""DivideMix as the paper writes it: loops over samples, views and classes. Shares nothing with the package.

x and y are the samples and labels, w the probabilities that labels are right, M = 2 the views, H the cross-entropy.
"""

import math

import torch

from tests.reference.losses import cross_entropy, one_hot, softmax


def average(vectors):
    return [sum(values) / len(values) for values in zip(*vectors, strict=True)]


def sharpen(p, temperature):
    powers = [p_c ** (1 / temperature) for p_c in p]
    return [power / sum(powers) for power in powers]


def co_refine(y, w, own_logits, temperature):
    """Refine a label by the network's own M predictions."""
    p = average([softmax(z) for z in own_logits])
    e = one_hot(int(y), len(p))
    return sharpen([w * e_c + (1 - w) * p_c for e_c, p_c in zip(e, p, strict=True)], temperature)


def co_guess(own_logits, other_logits, temperature):
    """Guess a label by the M predictions of both networks."""
    return sharpen(average([softmax(z) for z in [*own_logits, *other_logits]]), temperature)


def lambda_u(t, warm_up, ramp, weight):
    """Return λ at t epochs, a fraction included."""
    return weight * min(max((t - warm_up) / ramp, 0), 1)


def mixmatch_loss(logits_x, targets_x, logits_u, targets_u, lam):
    classes = len((logits_x or logits_u)[0])
    p_x, p_u = [softmax(z) for z in logits_x], [softmax(z) for z in logits_u]
    loss = torch.zeros(())
    if p_x:
        loss += sum(cross_entropy(p, t) for p, t in zip(p_x, targets_x, strict=True)) / len(p_x)
    if p_u:
        squares = [(p[c] - t[c]) ** 2 for p, t in zip(p_u, targets_u, strict=True) for c in range(classes)]
        loss += lam * sum(squares) / len(squares)
    for c in range(classes):
        p_bar = sum(p[c] for p in p_x + p_u) / len(p_x + p_u)
        loss += 1 / classes * torch.log(1 / classes / p_bar)
    return loss


def warm_up_loss(logits, labels, penalize):
    loss = torch.zeros(())
    for z, y in zip(logits, labels, strict=True):
        p = softmax(z)
        loss += cross_entropy(p, one_hot(int(y), len(z))) / len(labels)
        if penalize:
            loss += sum(p_c * torch.log(p_c) for p_c in p) / len(labels)
    return loss


def min_max(losses):
    low, high = min(losses), max(losses)
    return [(loss - low) / (high - low) for loss in losses]


def densities(loss, gaussians):
    return [
        share * math.exp(-((loss - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        for mean, variance, share in gaussians
    ]


def maximized(losses, r, floor):
    """Return mean, variance and share of each Gaussian; r[i] is how far loss i belongs to the first."""
    gaussians = []
    for belongs in (r, [1 - r_i for r_i in r]):
        n = sum(belongs)
        mean = sum(b * loss for b, loss in zip(belongs, losses, strict=True)) / n
        variance = sum(b * (loss - mean) ** 2 for b, loss in zip(belongs, losses, strict=True)) / n
        gaussians.append((mean, variance + floor, n / len(losses)))
    return gaussians


def divide(losses, split, max_iter=10, tol=1e-2, floor=5e-4):
    """Return w, the posterior of the lower of two Gaussians; those below `split` make up the first one at first."""
    gaussians = maximized(losses, [float(loss < split) for loss in losses], floor)
    likelihood = -math.inf
    for _ in range(max_iter):
        r = [densities(loss, gaussians) for loss in losses]
        before, likelihood = likelihood, sum(math.log(sum(r_i)) for r_i in r) / len(losses)
        gaussians = maximized(losses, [r_i[0] / sum(r_i) for r_i in r], floor)
        if abs(likelihood - before) < tol:
            break
    lower = 0 if gaussians[0][0] < gaussians[1][0] else 1
    r = [densities(loss, gaussians) for loss in losses]
    return [r_i[lower] / sum(r_i) for r_i in r]


def divide_mix_step(f, other_logits, x1, x2, y, w, threshold, temperature, lam, share, partner, eta):
    """Take one step of a network f by plain SGD; partner[i] is the row that row i is mixed with.

    Rows are the first views of all samples, then their second views.
    """
    n = len(y)
    own = [f(x1).detach(), f(x2).detach()]
    targets = []
    for i in range(n):
        own_i, other_i = [z[i] for z in own], [z[i] for z in other_logits]
        if w[i] > threshold:
            targets.append(co_refine(y[i], w[i], own_i, temperature))
        else:
            targets.append(co_guess(own_i, other_i, temperature))
    rows, row_targets = [*x1, *x2], targets + targets
    share = max(share, 1 - share)
    logits_x: list[torch.Tensor] = []
    logits_u: list[torch.Tensor] = []
    targets_x: list[list[torch.Tensor]] = []
    targets_u: list[list[torch.Tensor]] = []
    for i in range(2 * n):
        z = f((share * rows[i] + (1 - share) * rows[partner[i]])[None])[0]
        pairs = zip(row_targets[i], row_targets[partner[i]], strict=True)
        t = [share * a + (1 - share) * b for a, b in pairs]
        labeled = w[i % n] > threshold
        (logits_x if labeled else logits_u).append(z)
        (targets_x if labeled else targets_u).append(t)
    loss = mixmatch_loss(logits_x, targets_x, logits_u, targets_u, lam)
    gradients = torch.autograd.grad(loss, list(f.parameters()))
    with torch.no_grad():
        for weight, gradient in zip(f.parameters(), gradients, strict=True):
            weight.sub_(eta * gradient)
    return loss
