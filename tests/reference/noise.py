"""Label noise as loops over single samples."""

import random


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
