"""Features that are made up: a cloud for each class."""

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.runs.measures import Ints


def clouds(classes: Ints, spread: float = 0.2, seed: int = 0) -> NDArray[np.float32]:
    """Return features (N, 1, K + 2) around a corner of their own for each class (N,)."""
    noise = np.random.default_rng(seed).normal(0, spread, (len(classes), int(classes.max()) + 3))
    features = np.eye(noise.shape[1])[classes] + noise
    return features[:, None].astype(np.float32)
