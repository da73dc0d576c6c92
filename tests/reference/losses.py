"""The losses as their papers write them: loops over classes, one sample at a time.

p is the list of the K predicted probabilities, e the list of the K target probabilities (one-hot for a label), both
of scalars. Nothing here is stable at extreme logits, nothing is fast, and nothing is shared with the package.
"""

import math

import torch


def softmax(z):
    total = sum(torch.exp(z_k) for z_k in z)
    return [torch.exp(z_k) / total for z_k in z]


def label_of(e):
    assert sorted(e)[-2:] == [0, 1]
    return list(e).index(1)


def one_hot(k, num_classes):
    return [1.0 if j == k else 0.0 for j in range(num_classes)]


def cross_entropy(p, e):
    return -sum(e_k * torch.log(p_k) for p_k, e_k in zip(p, e, strict=True))


def confidence_penalty(p, e, loss, beta):
    entropy = -sum(p_k * torch.log(p_k) for p_k in p)
    return loss(p, e) - beta * entropy


def mean_absolute_error(p, e):
    return sum(abs(p_k - e_k) for p_k, e_k in zip(p, e, strict=True))


def reverse_cross_entropy(p, e, A):  # noqa: N803
    def log(e_k):
        return max(math.log(e_k), A) if e_k > 0 else A

    return -sum(p_k * log(float(e_k)) for p_k, e_k in zip(p, e, strict=True))


def clipped(p, low):
    return [p_k if p_k > low else torch.full_like(p_k, low) for p_k in p]


def symmetric_cross_entropy(p, e, alpha, beta, A, low=0.0):  # noqa: N803
    return alpha * cross_entropy(clipped(p, low), e) + beta * reverse_cross_entropy(p, e, A)


def generalized_cross_entropy(p, e, q, low=0.0):
    return sum(e_k * (1 - p_k**q) / q for p_k, e_k in zip(clipped(p, low), e, strict=True))


def truncated_generalized_cross_entropy(p, e, q, k):
    p_y = p[label_of(e)]
    return (1 - p_y**q) / q if p_y > k else 0 * p_y + (1 - k**q) / q


def focal_loss(p, e, gamma, alpha=1.0, detach=False):
    total = 0
    for p_k, e_k in zip(p, e, strict=True):
        factor = (1 - p_k) ** gamma
        total += -alpha * e_k * (factor.detach() if detach else factor) * torch.log(p_k)
    return total


def normalized(loss, p, e):
    """L(f(x), y) / Σ_j L(f(x), j)."""
    return loss(p, e) / sum(loss(p, one_hot(j, len(p))) for j in range(len(p)))


def normalized_cross_entropy(p, e):
    return normalized(cross_entropy, p, e)


def normalized_focal_loss(p, e, gamma, detach=False):
    return normalized(lambda p, e: focal_loss(p, e, gamma, detach=detach), p, e)


def normalized_generalized_cross_entropy(p, e, q, low=0.0):
    return normalized(lambda p, e: generalized_cross_entropy(p, e, q, low), p, e)


def active_passive(p, e, active, passive, alpha, beta):
    return alpha * active(p, e) + beta * passive(p, e)


def exponential_normalized(p, e, loss, T):  # noqa: N803
    return 1 - torch.exp(-loss(p, e) / T)


def entropy_normalized_cross_entropy(p, e, epsilon):
    entropy = -sum(p_k * torch.log(p_k + epsilon) for p_k in p)
    return -sum(e_k * torch.log(p_k + epsilon) for p_k, e_k in zip(p, e, strict=True)) / entropy


def taylor_cross_entropy(p, e, n):
    total = 0
    for p_k, e_k in zip(p, e, strict=True):
        for t in range(1, n + 1):
            total += e_k * (1 - p_k) ** t / t
    return total


def bootstrapping_soft(p, e, beta):
    return -sum((beta * e_k + (1 - beta) * p_k) * torch.log(p_k) for p_k, e_k in zip(p, e, strict=True))


def bootstrapping_hard(p, e, beta):
    z = one_hot(max(range(len(p)), key=lambda k: p[k]), len(p))
    return -sum((beta * e_k + (1 - beta) * z_k) * torch.log(p_k) for p_k, e_k, z_k in zip(p, e, z, strict=True))


def partially_huberised(p, e, tau):
    total = 0
    for p_k, e_k in zip(p, e, strict=True):
        total += e_k * (-torch.log(p_k) if p_k > 1 / tau else -tau * p_k + math.log(tau) + 1)
    return total


def asymmetric_gce(p, e, a, q):
    return sum(e_k * ((a + 1) ** q - (a + p_k) ** q) / q for p_k, e_k in zip(p, e, strict=True))


def aul(p, e, a, q):
    return sum(e_k * ((a - p_k) ** q - (a - 1) ** q) / q for p_k, e_k in zip(p, e, strict=True))


def ael(p, e, a):
    return sum(e_k * torch.exp(-p_k / a) for p_k, e_k in zip(p, e, strict=True))


def active_negative(p, e, loss, alpha, beta, p_min):
    """Alpha · L_norm + beta · L_nn, where L_nn is built on the vertically flipped loss A − L."""
    largest = loss([torch.tensor(p_min, dtype=torch.float64)], [1.0])

    def flipped(p, e):
        return sum(e_k * (largest - loss([p_k], [1.0])) for p_k, e_k in zip(clipped(p, p_min), e, strict=True))

    return alpha * normalized(loss, p, e) + beta * (1 - normalized(flipped, p, e))


def jensen_shannon(p, e, pi):
    def kl(u, v):
        return sum(u_k * torch.log(u_k / v_k) if u_k > 0 else 0 * v_k for u_k, v_k in zip(u, v, strict=True))

    e = [torch.as_tensor(e_k, dtype=torch.float64) for e_k in e]
    m = [pi * e_k + (1 - pi) * p_k for p_k, e_k in zip(p, e, strict=True)]
    return (pi * kl(e, m) + (1 - pi) * kl(p, m)) / (-(1 - pi) * math.log(1 - pi))


def label_smoothing(p, e, r):
    """Cross-entropy against (1 − r) e + r/K."""
    return cross_entropy(p, [(1 - r) * e_k + r / len(e) for e_k in e])


def epsilon_softmax(p, e, alpha, beta, m, gamma=0.0, low=1e-8, detach=False):
    largest = max(range(len(p)), key=lambda k: p[k])
    q = clipped([(p_k + m * (k == largest)) / (m + 1) for k, p_k in enumerate(p)], low)
    return alpha * focal_loss(q, e, gamma, detach=detach) + beta * mean_absolute_error(p, e)


def asymmetric_mse(p, e, a):
    return sum((p_k - a * e_k) ** 2 for p_k, e_k in zip(p, e, strict=True)) / len(p)


def joint_asymmetric(p, e, active, alpha, beta, a):
    return alpha * active(p, e) + beta * asymmetric_mse(p, e, a)


def tempered_log(u, t):
    if t == 1:
        return torch.log(u)
    return (u ** (1 - t) - 1) / (1 - t)


def tempered_exp(u, t):
    if t == 1:
        return torch.exp(u)
    base = 1 + (1 - t) * u
    return base ** (1 / (1 - t)) if base > 0 else 0 * u


def tempered_softmax(z, t):
    """exp_t(z_k − λ), λ by bisection, with the derivative that the implicit function theorem gives it."""
    low = max(z_k.detach() for z_k in z)
    high = low + 1e6
    for _ in range(100):
        middle = (low + high) / 2
        if sum(tempered_exp(z_k.detach() - middle, t) for z_k in z) > 1:
            low = middle
        else:
            high = middle
    powers = [tempered_exp(z_k.detach() - low, t) ** t for z_k in z]
    shift = low + sum(power * (z_k - z_k.detach()) for power, z_k in zip(powers, z, strict=True)) / sum(powers)
    return [tempered_exp(z_k - shift, t) for z_k in z]


def bi_tempered(p, e, t1, t2, s=0.0):
    """Amid et al., eq. 5, from the logits that softmax made p of, up to their mean."""
    K = len(p)  # noqa: N806
    probabilities = tempered_softmax([torch.log(p_k) for p_k in p], t2)
    total = 0
    for p_k, e_k in zip(probabilities, e, strict=True):
        y_k = torch.tensor((1 - s * K / (K - 1)) * e_k + s / (K - 1), dtype=torch.float64)
        if y_k > 0:
            total += y_k * (tempered_log(y_k, t1) - tempered_log(p_k, t1))
        total -= (y_k ** (2 - t1) - p_k ** (2 - t1)) / (2 - t1)
    return total
