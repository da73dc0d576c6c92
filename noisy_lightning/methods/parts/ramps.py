"""Weights that change from epoch to epoch."""


def rise(epoch: float, length: float, ends: bool = False) -> float:
    """Return what rises from 0 in epoch 0 to 1 in epoch `length`, evenly, or is 1 at once if that is 0.

    Args:
        epoch: Also within one; 0 is returned before epoch 0.
        length: >= 0.
        ends: Whether it is 0 from epoch `length` on, and not 1.
    """
    if epoch < 0:
        return 0.0
    if epoch >= length:
        return 0.0 if ends else 1.0
    return epoch / length
