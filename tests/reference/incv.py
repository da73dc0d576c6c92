"""INCV's theory and second stage as the paper writes them: loops. Shares nothing with the package.

f and g are the networks, x and y the samples and labels of a batch, S and C the positions in it of selected samples and
candidates, eta the learning rate of plain SGD.
"""

from tests.reference.co_teaching import descend, loss_of, smallest
from tests.reference.losses import cross_entropy, one_hot, softmax


def agreement_of(T, pi):  # noqa: N803
    """Return the test accuracy against noisy labels, Σ_i π_i Σ_j T_ij M_ij with M = T."""
    return sum(pi[i] * sum(T[i][j] * T[i][j] for j in range(len(T))) for i in range(len(T)))


def estimated_rate(A, C):  # noqa: N803
    """Return the noise rate as the authors' code finds it: of symmetric noise, whatever the noise is."""
    for thousandths in range(1, 1001):
        epsilon = thousandths / 1000
        if (1 - epsilon) ** 2 + epsilon**2 / (C - 1) <= A:
            break
    return epsilon


def noise_of_selected(epsilon, kappa):
    return epsilon**2 / (epsilon**2 + kappa * (1 - epsilon) ** 2)


def modified_co_teaching_step(f, g, x, y, S, C, epsilon_S, e, E_warm, T_k, eta):  # noqa: N803
    """Return the samples that f and g choose in epoch e."""
    n_keep = round(len(S) * (1 - epsilon_S * min(1, e / T_k)))
    pool = sorted(S) if e <= E_warm else sorted(S + C)
    chosen = []
    for h in (f, g):
        h.eval()
        losses = [loss_of(h, x[i], y[i]) for i in pool]
        chosen.append([pool[i] for i in smallest(losses, n_keep)])
        h.train()
    for h, d in ((f, chosen[1]), (g, chosen[0])):
        z = h(x)  # batch statistics of the whole batch, which is our deviation
        descend(h, sum(cross_entropy(softmax(z[i]), one_hot(int(y[i]), len(z[i]))) for i in d) / len(d), eta)
    return chosen


def incv(y, C, N, halves_of, predict, pattern, invert, ratio=None):  # noqa: N803
    """Return S after each iteration, the candidates left, the estimate and whether each fit took its best epoch.

    halves_of(t, candidates) cuts the candidates of iteration t, predict(t, half, learned) gives p of all samples,
    invert(A, C) the noise rate of an agreement.
    """
    S: list[int] = []  # noqa: N806
    candidates, removed, history, best = list(range(len(y))), [], [], []
    epsilon, t_best = 0.0, 1
    for t in range(1, N + 1):
        if len(candidates) < 2:  # our guard
            break
        H1, H2 = halves_of(t, candidates)  # noqa: N806
        new = []
        for half, (learned, tested) in enumerate(((H1, H2), (H2, H1))):
            best.append(t <= t_best)
            p = predict(t, half, sorted(S + learned))
            agree = [i for i in tested if list(p[i]).index(max(p[i])) == y[i]]
            if t == 1 and half == 0:
                epsilon = invert(len(agree) / len(tested), C)
            r = min(2, epsilon / (1 - epsilon)) if ratio is None else ratio
            least = sorted((p[i][y[i]], i) for i in tested)
            removed += [i for _, i in least[: int(r * len(agree))] if i not in agree]
            new += agree
        if t == 1:
            t_best = 1 if pattern == "pair" or epsilon > 0.6 else 2 if epsilon > 0.3 else 4
        S += new  # noqa: N806
        candidates = [i for i in candidates if i not in S and (pattern == "pair" or i not in removed)]
        history.append(sorted(S))
    return history, candidates, epsilon, best
