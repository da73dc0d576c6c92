"""Images that are like no others: outliers, or pictures that are off the topic."""

import numpy as np

from noisy_lightning.data.audit.features import Neighbors
from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.runs.measures import Ints

_IQRS = 1.7


def outliers(neighbors: Neighbors, of_each: Ints) -> Findings:
    """Return images whose neighbors are far away, the farthest first.

    Args:
        neighbors: The 10 nearest of each of m training images.
        of_each: (m,) their positions in the training set.
    """
    there = neighbors.positions >= 0
    found = there.sum(1)
    distance = np.where(there, 1 - neighbors.similarity, 0).sum(1, dtype=np.float64) / np.maximum(found, 1)
    low, high = np.quantile(distance, [0.25, 0.75]) if len(distance) else (0.0, 0.0)
    limit = high + _IQRS * (high - low)
    far = np.flatnonzero(distance > limit)
    far = far[np.argsort(-distance[far], kind="stable")]
    rule = (
        f"the mean cosine distance of features to the {neighbors.positions.shape[1]} nearest neighbors is above the "
        f"third quartile by more than {_IQRS} interquartile ranges, that is above {limit:.3g} (score: this distance)"
    )
    return Findings("outliers", rule, [(position,) for position in of_each[far].tolist()], distance[far].tolist())
