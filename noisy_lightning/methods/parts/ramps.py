"""Weights that change from epoch to epoch."""


def rise(epoch: float, length: float) -> float:
    """Return what rises from 0 in epoch 0 to 1 in epoch `length`, in equal steps; 1 if that is 0."""
    return min(epoch / length, 1.0) if length else 1.0
