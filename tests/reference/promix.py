"""ProMix as the specification writes it: loops over samples and classes. Shares nothing with the package.

h and g are the primary and the pseudo head of a network, rho, w and beta its schedules, pi and pi_u the two averages.
"""

import cmath
import math

import torch

from tests.reference.losses import cross_entropy, one_hot, softmax


def fmix_mask(lam, real, imaginary, decay, height, width, up):
    """Return rows of 0 and 1; real and imaginary are the draws for frequencies (H, W // 2 + 1)."""
    gray = {}
    for y in range(height):
        for x in range(width):
            value = 0.0
            for v in range(height):
                for u in range(width // 2 + 1):
                    f_v = (v if v < (height + 1) // 2 else v - height) / height
                    f = max(math.sqrt(f_v**2 + (u / width) ** 2), 1 / max(height, width))
                    wave = complex(real[v][u], imaginary[v][u]) / f**decay
                    wave *= cmath.exp(2j * math.pi * (v * y / height + u * x / width))
                    # All but the first and the middle frequency stand for their mirror image, too.
                    value += wave.real * (1 if u == 0 or 2 * u == width else 2)
            gray[y, x] = value
    number = math.ceil(lam * height * width) if up else math.floor(lam * height * width)
    largest = sorted(gray, key=lambda at: -gray[at])[:number]
    return [[1 if (y, x) in largest else 0 for x in range(width)] for y in range(height)]


def class_wise_small_loss(losses, labels, classes, rho):
    quota = max(1, math.ceil(len(losses) / classes * rho))
    kept = []
    for c in range(classes):
        members = sorted((loss, i) for i, (loss, y) in enumerate(zip(losses, labels, strict=True)) if y == c)
        kept += [i for _, i in members[: min(quota, len(members))]]
    return [i in kept for i in range(len(losses))]


def label_guessing(p_1, p_2, selected, tau):
    """Return the samples that join, by their place in the batch."""
    found = []
    for i, (p, q) in enumerate(zip(p_1, p_2, strict=True)):
        c, d = p.index(max(p)), q.index(max(q))
        if not selected[i] and c == d and max(p) > tau and max(q) > tau:
            found.append(((max(p) + max(q)) / 2, i))
    joined: list[int] = []
    for _, i in sorted(found, reverse=True):
        if sum(selected) + len(joined) < int(0.9 * len(selected)):
            joined.append(i)
    return joined


def follow(pi, vectors, m):
    if not vectors:
        return pi
    mean = [sum(v[c] for v in vectors) / len(vectors) for c in range(len(pi))]
    return [m * pi_c + (1 - m) * mean_c for pi_c, mean_c in zip(pi, mean, strict=True)]


def plus_log(z, pi, alpha):
    return [z_c + alpha * math.log(pi_c) for z_c, pi_c in zip(z, pi, strict=True)]


def guess(z, pi, alpha):
    shifted = [z_c.item() for z_c in plus_log(z, pi, -alpha)]
    return shifted.index(max(shifted))


def beta_of(epoch, weight, length, ends):
    if ends and epoch >= length:
        return 0.0
    return weight * min(epoch / length, 1)


def promix_loss(net, weak, strong, targets, selected, pi, pi_u, alpha, w, beta, temperature, draws):
    """Return the loss of one network.

    net gives the logits of h and g for one image. draws has, for each head, (λ, partner) of MixUp and (λ, mask,
    partner) of FMix, where partner is by the place in the batch.
    """
    n, total = len(targets), torch.zeros(())
    classes = len(pi)
    chosen = [i for i in range(n) if selected[i]]
    rest = [i for i in range(n) if not selected[i]]

    def ce(x, head, target, prior):
        e = one_hot(target, classes) if isinstance(target, int) else target
        return cross_entropy(softmax(plus_log(net(x)[head], prior, alpha)), e)

    for head in range(2):
        if not chosen:
            continue
        (lam, partner), (lam_f, mask, partner_f) = draws[head]
        lam = max(lam, 1 - lam)
        for i in chosen:
            total += (ce(weak[i], head, targets[i], pi) + w * ce(strong[i], head, targets[i], pi)) / len(chosen)
            j = partner[i]
            x = lam * weak[i] + (1 - lam) * weak[j]
            mixup = lam * ce(x, head, targets[i], pi) + (1 - lam) * ce(x, head, targets[j], pi)
            j = partner_f[i]
            m = torch.tensor(mask)
            x = m * weak[i] + (1 - m) * weak[j]
            fmix = lam_f * ce(x, head, targets[i], pi) + (1 - lam_f) * ce(x, head, targets[j], pi)
            total += w * (mixup + fmix) / len(chosen)
    for i in rest:
        p = [p_c.item() for p_c in softmax(plus_log(net(weak[i])[0].detach(), pi_u, -alpha))]
        powers = [p_c ** (1 / temperature) for p_c in p]
        q = [power / sum(powers) for power in powers]
        total += beta * (ce(weak[i], 1, q, pi_u) + w * ce(strong[i], 1, q, pi_u)) / len(rest)
    return total
