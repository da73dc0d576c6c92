"""The transition matrix that a method works with, beside what is known of the true one."""

import lightning as L
from torch import Tensor

from noisy_lightning.data.labels import realised_matrix


def transition_of(pl_module: L.LightningModule) -> Tensor | None:
    """Return the matrix (K, K), float64 on the CPU, that a module's method works with; None where it has none."""
    method = getattr(pl_module, "method", None)
    matrix: Tensor | None = None if method is None else method.transition()
    return None if matrix is None else matrix.detach().cpu().double()


def transition_error(matrix: Tensor, labels: Tensor, true_labels: Tensor) -> float | None:
    """Return the mean absolute difference of a matrix to the realized one, in [0, 1].

    Args:
        matrix: (K, K), rows over true classes.
        labels: (N,) given labels.
        true_labels: (N,), negative where there is none; a class without samples does not count, and without any it is
            None.
    """
    realised = realised_matrix(true_labels, labels, len(matrix))
    measured = realised.any(1)
    if not measured.any():
        return None
    return (matrix - realised)[measured].abs().mean().item()
