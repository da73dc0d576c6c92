"""An exponential moving average whose momentum rises, number by number."""

from collections.abc import Sequence


def moving_average(values: Sequence[Sequence[float]], decay: float) -> list[float]:
    """Return the average after the last of some steps.

    Args:
        values: What is averaged, at the start and after each step.
        decay: The momentum that is risen to.
    """
    average = list(values[0])
    for step in range(1, len(values)):
        updates = step - 1
        momentum = (1 + updates) / (10 + updates)
        momentum = min(momentum, decay)
        for place in range(len(average)):
            average[place] = momentum * average[place] + (1 - momentum) * values[step][place]
    return average
