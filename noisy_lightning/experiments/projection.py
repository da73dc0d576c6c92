"""Embedded images on a plane, to look at: by PCA, or by UMAP where it is installed."""

import warnings
from typing import Any, Literal

import numpy as np

from noisy_lightning.data.audit.features import Features, unit_features
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import Bools, Floats

Projection = Literal["PCA", "UMAP"]
_LARGEST = 20_000  # samples that a plane is fitted to, and that UMAP, which is slow, places


def check_projection(kind: Projection) -> None:
    """Refuse a projection that is not installed.

    Raises:
        InputError: It is not.
    """
    if kind == "UMAP":
        _require_umap()


def projected(features: Features, usable: Bools, kind: Projection = "PCA", largest: int = _LARGEST) -> Floats:
    """Return where images lie on a plane (N, 2), the same for the same features; NaN for those that are not placed.

    Sources: Pearson 1901; McInnes, Healy and Melville, UMAP: Uniform Manifold Approximation and Projection for
    Dimension Reduction, 2018.

    Args:
        features: (N, V, D) of V views; compared as by `unit_features`.
        usable: (N,) the samples to place.
        kind: How.
        largest: How many samples, drawn at random, decide on the plane; UMAP places no others.

    Raises:
        InputError: It is not installed, or features are not finite.
    """
    unit, rows = unit_features(features, usable), np.flatnonzero(usable)
    chosen = np.sort(np.random.default_rng(0).permutation(rows)[:largest])
    points = np.full((len(features), 2), np.nan, np.float32)
    if len(chosen) <= 2 or unit.shape[1] < 2:  # dimensions of a plane
        return points
    if kind == "UMAP":
        neighbors = min(15, len(chosen) - 1)
        points[chosen] = _require_umap()(n_components=2, n_neighbors=neighbors, random_state=0, n_jobs=1).fit_transform(
            unit[chosen]
        )
    else:
        from sklearn.decomposition import PCA  # noqa: PLC0415  # slow to import

        points[rows] = PCA(2, svd_solver="randomized", random_state=0).fit(unit[chosen]).transform(unit[rows])
    return points


def _require_umap() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)  # of what else it could do with TensorFlow
            from umap import UMAP  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"projection: UMAP needs umap-learn ({error}): pip install 'noisy_lightning[map]', or use PCA"
        ) from error
    return UMAP
