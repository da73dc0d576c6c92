"""VolMinNet (Li et al., ICML 2021) in loops over classes and samples. Shares nothing with the package."""

import torch


def matrix_of(w):
    """T of weights w, a list of K lists of numbers or scalars."""
    classes = len(w)
    rows = []
    for i in range(classes):
        row = [w[i][j].new_ones(()) if i == j else 1 / (1 + torch.exp(-w[i][j])) for j in range(classes)]
        rows.append([value / sum(row) for value in row])
    return rows


def determinant(rows):
    """By the first row's minors."""
    if len(rows) == 1:
        return rows[0][0]
    minors = [[row[:j] + row[j + 1 :] for row in rows[1:]] for j in range(len(rows))]
    return sum((-1) ** j * rows[0][j] * determinant(minors[j]) for j in range(len(rows)))


def batch_loss(probabilities, labels, w, volume_weight):
    """The mean of −log (Tᵀp)_y, plus λ·log|det T|."""
    rows = matrix_of(w)
    q = [sum(p[i] * rows[i][y] for i in range(len(p))) for p, y in zip(probabilities, labels, strict=True)]
    return sum(-torch.log(value) for value in q) / len(q) + volume_weight * torch.log(abs(determinant(rows)))
