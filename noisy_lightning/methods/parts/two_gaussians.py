"""Two groups of samples by one value of each, such as the loss: a mixture of two Gaussians."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# Fewer values than this say nothing of two groups.
_FEWEST = 10


class Groups(NamedTuple):
    """How likely each of n values belongs to one of two Gaussians."""

    low: Values
    """(n,) in [0, 1], to the one with the lower mean."""
    high: Values
    """(n,) in [0, 1], to the one with the higher mean."""


def scaled_to_unit(values: NDArray[np.floating]) -> Values | None:
    """Return values (n,) scaled to [0, 1]; None where they are fewer than 10, not all finite, or all equal."""
    exact = values.astype(np.float64)
    if len(exact) < _FEWEST or not np.isfinite(exact).all() or exact.min() == exact.max():
        return None
    unit: Values = (exact - exact.min()) / (exact.max() - exact.min())
    return unit


def fit_gaussians(values: Values, number: int = 2, tol: float = 1e-2, max_iter: int = 10) -> Any:
    """Return a mixture of Gaussians fitted to values (n,), a `GaussianMixture` of scikit-learn.

    With the constants of DivideMix (Li et al., ICLR 2020) by default. A fit need not converge.

    Args:
        values: (n,) of finite numbers, in [0, 1] or not far from it: 5e-4 is added to the variances.
        number: How many Gaussians, >= 1.
        tol: Gain of the mean log-likelihood below which the fit has converged.
        max_iter: Iterations at most.
    """
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415  # slow to import, and few runs need it

    mixture = GaussianMixture(number, tol=tol, max_iter=max_iter, reg_covar=5e-4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a fit that has not converged
        return mixture.fit(values[:, None])


def two_groups(values: Values, tol: float = 1e-2, max_iter: int = 10) -> Groups:
    """Return to which of two Gaussians fitted to values (n,) each belongs; see `fit_gaussians`."""
    mixture = fit_gaussians(values, 2, tol, max_iter)
    probabilities, means = mixture.predict_proba(values[:, None]), mixture.means_[:, 0]
    return Groups(probabilities[:, means.argmin()], probabilities[:, means.argmax()])


def upper_group(values: NDArray[np.floating]) -> Values | None:
    """Return the probability (n,) that a value belongs to the higher of two Gaussians fitted to all, which never falls.

    The wider of two Gaussians is the likelier one on both far sides. So above the higher mean the probability is not
    less than at it, and below the lower mean not more.

    Args:
        values: (n,).

    Returns:
        None where there are fewer than 10 values, or not all are finite, or all are equal.
    """
    scaled = scaled_to_unit(values)
    if scaled is None:
        return None
    mixture = fit_gaussians(scaled, tol=1e-3, max_iter=100)
    means = mixture.means_[:, 0]
    low, high = np.sort(means)
    upper: Values = mixture.predict_proba(scaled.clip(low, high)[:, None])[:, means.argmax()]
    return upper
