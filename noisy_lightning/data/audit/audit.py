"""The audit of a data set: what is to be found in its images beside wrong labels."""

import numpy as np

from noisy_lightning.data.audit.appearance import describe, joined
from noisy_lightning.data.audit.duplicates import (
    Shown,
    exact_duplicates,
    exact_groups,
    near_by_features,
    near_by_hash,
)
from noisy_lightning.data.audit.features import Features, nearest_neighbors, unit_features
from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.audit.outliers import outliers
from noisy_lightning.data.audit.quality import odd_pixels, odd_sizes, read_sizes
from noisy_lightning.data.datamodule import NoisyDataModule

_NEIGHBORS = 10


def audit(data: NoisyDataModule, features: Features | None = None) -> list[Findings]:
    """Return what is found in training images, and which test images are like them, a kind each.

    Each image is read once. With features, these tell near duplicates in the training set, and outliers; without, a
    perceptual hash tells near duplicates. Those of test images are always found by the hash.

    Args:
        data: Set up; its test set is loaded if it has one.
        features: (N, V, D) of the training images, or None.

    Raises:
        InputError: An image cannot be read.
    """
    positions = data.source.usable().numpy()
    height, width, _ = data.picture_shape
    look = describe(data.train_images, positions, height * width, quiet=data.in_memory)
    odd = odd_pixels(look, positions)
    if data.train_names is not None:
        sizes = read_sizes(data.root, [data.train_names[position] for position in positions.tolist()])
        odd += odd_sizes(sizes, positions, height, width)
    shown = Shown(positions, data.labels.numpy()[positions])
    if data.has_test_set:
        data.setup("test")
        source = data.test_source

        tested = source.usable().numpy()
        look = joined([look, describe(data.test_images, tested, height * width, quiet=data.in_memory)])
        labels = source.labels.numpy()[tested]
        shown = Shown(np.concatenate([positions, -1 - tested]), np.concatenate([shown.labels, labels]))
    groups = exact_groups(look)
    of_each = np.array([group[0] for group in groups])
    exact = exact_duplicates(groups, shown)
    if features is None:
        return [exact, near_by_hash(look, of_each, shown), *odd]
    compared = positions[of_each[of_each < len(positions)]]
    usable = np.zeros(len(data.labels), bool)
    usable[compared] = True
    neighbors = nearest_neighbors(unit_features(features, usable), usable, _NEIGHBORS, queries=compared)
    found = [exact, near_by_features(neighbors, compared, shown)]
    if data.has_test_set:
        found.append(near_by_hash(look, of_each, shown, touching=shown.members < 0))
    return [*found, outliers(neighbors, compared), *odd]
