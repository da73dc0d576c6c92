"""One wording for every refused hyper-parameter."""


def check_range(name: str, value: float, interval: str) -> None:
    """Refuse a value outside an interval written as in mathematics.

    Args:
        name: the parameter's name, for the message.
        value: what was given; NaN lies in no interval.
        interval: for instance "(0, 1]" or "[0, inf)".

    Raises:
        ValueError: naming the parameter, its range and the value.
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):
        raise ValueError(f"{name} must be in {interval}, got {value}")
