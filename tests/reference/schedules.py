"""Schedules of the learning rate, step by step."""

import math


def warmup_cosine(total: int, warmup: int, final: float) -> list[float]:
    """Return the learning rates of the steps 0 to `total`, as factors of the optimizer's."""
    rates = []
    for step in range(total + 1):
        if step < warmup:
            rates.append((step + 1) / (warmup + 1))
        else:
            angle = math.pi * (step - warmup) / (total - warmup)
            rates.append(final + 0.5 * (1 - final) * (1 + math.cos(angle)))
    return rates
