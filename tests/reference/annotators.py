"""Dawid and Skene (1979) in the paper's notation, in loops."""

from math import log, prod

Labels = list[dict[int, int]]
"""By patient i: the response m (l in the paper) of each observer k."""


def votes(labels: Labels, classes: int) -> list[list[float]]:
    """Return t[i][j] to begin with: the share of the responses of patient i that are j."""
    return [[list(given.values()).count(j) / len(given) for j in range(classes)] for given in labels]


def maximize(
    labels: Labels, t: list[list[float]], observers: int, classes: int
) -> tuple[list[float], list[list[list[float]]]]:
    """Return p[j] and pi[k][j][l] (2.3 and 2.4), each with a pseudo-count of 1/J per cell."""
    smoothing = 1 / classes
    p = [(sum(t[i][j] for i in range(len(t))) + smoothing) / (len(t) + 1) for j in range(classes)]
    pi = []
    for k in range(observers):
        rows = []
        for j in range(classes):
            counts = [
                sum(t[i][j] for i, given in enumerate(labels) if given.get(k) == m) + smoothing for m in range(classes)
            ]
            rows.append([count / sum(counts) for count in counts])
        pi.append(rows)
    return p, pi


def expect(labels: Labels, p: list[float], pi: list[list[list[float]]]) -> tuple[list[list[float]], float]:
    """Return t[i][j] (2.5) and the logarithm of the likelihood (2.7) with that of the priors."""
    t, total = [], 0.0
    for given in labels:
        joint = [p[j] * prod(pi[k][j][m] for k, m in given.items()) for j in range(len(p))]
        total += log(sum(joint))
        t.append([value / sum(joint) for value in joint])
    cells = [*p, *(cell for observer in pi for row in observer for cell in row)]
    return t, total + sum(map(log, cells)) / len(p)
