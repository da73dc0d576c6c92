"""HOC (Zhu et al., ICML 2021) in loops over classes and samples. Shares nothing with the package."""

import math

import torch


def nearest_two(features):
    """For each sample the two others of the largest cosine, features centered."""
    mean = [sum(column) / len(features) for column in zip(*features, strict=True)]
    rows = [[v - m for v, m in zip(row, mean, strict=True)] for row in features]
    unit = [[v / math.hypot(*row) for v in row] for row in rows]
    found = []
    for i, u in enumerate(unit):
        cosines = {n: sum(a * b for a, b in zip(u, w, strict=True)) for n, w in enumerate(unit) if n != i}
        found.append([n for _, n in sorted((-cosine, n) for n, cosine in cosines.items())[:2]])
    return found


def counts(triples, classes):
    """The shares of labels, pairs and triples."""
    first = [sum(t[0] == a for t in triples) / len(triples) for a in range(classes)]
    second = [
        [sum(tuple(t[:2]) == (a, b) for t in triples) / len(triples) for b in range(classes)] for a in range(classes)
    ]
    third = [
        [[sum(tuple(t) == (a, b, c) for t in triples) / len(triples) for c in range(classes)] for b in range(classes)]
        for a in range(classes)
    ]
    return first, second, third


def fit(triples, classes, start):
    """T and P after 400 and 20 rounds of Adam on the sum of three norms, which steps from the second of each on."""
    first, second, third = counts(triples, classes)
    t = torch.tensor([[5.0 * (i == j) - 1 for j in range(classes)] for i in range(classes)], requires_grad=True)
    p = torch.tensor(start, requires_grad=True)
    for steps, rate in ((400, 0.1), (20, 0.01)):
        optimizer = torch.optim.Adam([t, p], lr=rate)
        for _ in range(1, steps):
            T = torch.exp(t) / torch.exp(t).sum(1, keepdim=True)  # noqa: N806
            P = torch.exp(p) / torch.exp(p).sum()  # noqa: N806
            squares = [torch.zeros(()) for _ in range(3)]
            for a in range(classes):
                squares[0] = squares[0] + (sum(P[i] * T[i, a] for i in range(classes)) - first[a]) ** 2
                for b in range(classes):
                    squares[1] = (
                        squares[1] + (sum(P[i] * T[i, a] * T[i, b] for i in range(classes)) - second[a][b]) ** 2
                    )
                    for c in range(classes):
                        explained = sum(P[i] * T[i, a] * T[i, b] * T[i, c] for i in range(classes))
                        squares[2] = squares[2] + (explained - third[a][b][c]) ** 2
            optimizer.zero_grad()
            torch.stack([torch.sqrt(s) for s in squares]).sum().backward()
            optimizer.step()
    T = torch.exp(t) / torch.exp(t).sum(1, keepdim=True)  # noqa: N806
    P = torch.exp(p) / torch.exp(p).sum()  # noqa: N806
    return T.detach(), P.detach()
