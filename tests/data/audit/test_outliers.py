import numpy as np
import pytest

from noisy_lightning.data.audit.features import nearest_neighbors, unit_features
from noisy_lightning.data.audit.outliers import outliers


def test_what_is_far_from_its_neighbors_is_listed_the_farthest_first() -> None:
    random = np.random.default_rng(0)
    features = random.normal(0, 0.1, (200, 1, 12))
    features[:100, 0, 0] += 3
    features[100:, 0, 1] += 3
    features[[17, 60], 0] = 0
    features[17, 0, 5], features[60, 0, 6] = -9, 3
    features[60, 0, 0] = 2
    usable = np.ones(200, bool)
    usable[3] = False
    places = np.flatnonzero(usable)
    unit = unit_features(features, usable)
    found = outliers(nearest_neighbors(unit, usable, 10, queries=places), places)
    cosines = np.where(usable & ~np.eye(200, dtype=bool), unit @ unit.T, -np.inf)[usable]
    distance = 1 - np.sort(cosines, axis=1)[:, -10:].mean(1, dtype=np.float64)
    low, high = np.quantile(distance, [0.25, 0.75])
    limit = high + 1.7 * (high - low)
    order = np.argsort(-distance)
    assert [place for (place,) in found.members] == places[order][distance[order] > limit].tolist()
    assert found.members[:2] == [(17,), (60,)]
    assert len(found.members) < 10
    assert found.scores == pytest.approx(np.sort(distance)[::-1][: len(found.scores)], rel=1e-5)
    assert f"above {limit:.3g} " in found.rule


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images_with_fewer_neighbors_than_asked_for_are_no_outliers(count: int) -> None:
    usable = np.ones(count, bool)
    unit = unit_features(np.random.default_rng(0).normal(size=(count, 1, 4)), usable)
    assert outliers(nearest_neighbors(unit, usable, 10), np.arange(count)).members == []
