"""Label noise as loops over single samples."""

import math
import random
from statistics import NormalDist


def inverse_cdf(labels: list[int], matrix: list[list[float]], uniforms: list[float]) -> list[int]:
    """Give each label the first class at which the summed probabilities of its row exceed its uniform."""
    given = []
    for label, uniform in zip(labels, uniforms, strict=True):
        total = 0.0
        for target, probability in enumerate(matrix[label]):
            total += probability
            if uniform < total:
                given.append(target)
                break
    return given


def chained_flips(labels: list[int], rate: float, flips: dict[int, int], seed: int) -> list[int]:
    """Flip class after class, looking up each class in the labels as already changed (APL, ELR, SOP)."""
    rng = random.Random(seed)
    given = list(labels)
    for source, target in flips.items():
        members = [index for index, label in enumerate(given) if label == source]
        for index in rng.sample(members, int(rate * len(members))):
            given[index] = target
    return given


def flip_rates(rate: float, std: float, uniforms: list[float]) -> list[float]:
    """Give each image its q from a normal distribution that is cut off at 0 and 1 (Xia et al., 2020)."""
    normal = NormalDist(rate, std)
    low, high = normal.cdf(0), normal.cdf(1)
    return [normal.inv_cdf(low + uniform * (high - low)) for uniform in uniforms]


def mean_flip_rate(rate: float, std: float) -> float:
    """Return the mean of that distribution, by its closed form."""
    standard = NormalDist()
    low, high = -rate / std, (1 - rate) / std
    return rate + std * (standard.pdf(low) - standard.pdf(high)) / (standard.cdf(high) - standard.cdf(low))


def part_dependent_rows(
    images: list[list[float]], labels: list[int], projections: list[list[list[float]]], q: list[float]
) -> list[list[float]]:
    """Return P(given = j) of each image (Xia et al., 2020, Algorithm 2); the images are flat and normalized."""
    rows = []
    for x, y, flip in zip(images, labels, q, strict=True):
        w = projections[y]
        a = [sum(pixel * weights[j] for pixel, weights in zip(x, w, strict=True)) for j in range(len(w[0]))]
        largest = max(value for j, value in enumerate(a) if j != y)
        e = [0.0 if j == y else math.exp(value - largest) for j, value in enumerate(a)]
        rows.append([1 - flip if j == y else flip * value / sum(e) for j, value in enumerate(e)])
    return rows


def hardest_flipped(labels: list[int], scores: list[list[float]], count: int) -> list[int]:
    """Flip the `count` labels whose images score highest in another class, to this class (Chen et al., 2021)."""
    found = []
    for i, (y, row) in enumerate(zip(labels, scores, strict=True)):
        others = [(score, -j) for j, score in enumerate(row) if j != y]
        score, class_ = max(others)
        found.append((-score, i, -class_))
    given = list(labels)
    for _, i, candidate in sorted(found)[:count]:
        given[i] = candidate
    return given


def margin_noise(eta: list[list[float]], kind: int, factor: float, uniforms: list[float]) -> list[int]:
    """Give each image its likeliest class or the second one, by the margin between them (Zhang et al., 2021)."""
    given = []
    for row, uniform in zip(eta, uniforms, strict=True):
        u, s = sorted(range(len(row)), key=lambda j: -row[j])[:2]
        m = row[u] - row[s]
        if kind == 1:
            tau = -1 / 2 * m**2 + 1 / 2
        elif kind == 2:
            tau = 1 - m**3
        else:
            tau = 1 - 1 / 3 * (m**3 + m**2 + m)
        given.append(u if uniform < (1 - tau) / factor else s)
    return given
