import numpy as np

from noisy_lightning.data.audit.features import nearest_neighbors, unit_features


def test_neighbors_are_those_of_all_cosines_without_the_sample_itself() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(30, 2, 5)).astype(np.float16)
    usable = np.ones(30, bool)
    usable[[3, 7]] = False
    features += np.float16(20)  # as far from zero as features after a ReLU are
    unit = unit_features(features, usable)
    mean = features.astype(np.float64).mean(1)
    centered = mean[usable] - mean[usable].mean(0)
    expected = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    np.testing.assert_allclose(unit[usable], expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(unit[usable], axis=1), 1, atol=1e-6)
    assert not unit[~usable].any()
    found = nearest_neighbors(unit, usable, 4, queries=np.flatnonzero(usable))
    cosines = np.where(usable & ~np.eye(30, dtype=bool), unit @ unit.T, -np.inf)
    np.testing.assert_array_equal(found.positions, np.argsort(-cosines, axis=1)[usable, :4])
    np.testing.assert_allclose(found.similarity, -np.sort(-cosines, axis=1)[usable, :4], rtol=1e-5)


def test_samples_of_one_group_are_no_neighbors_and_places_without_one_say_so() -> None:
    unit = unit_features(np.random.default_rng(0).normal(size=(6, 1, 3)), np.ones(6, bool))
    groups = np.array([0, 0, 0, 0, -1, -1])
    found = nearest_neighbors(unit, np.ones(6, bool), 5, groups, queries=np.array([2, 4]))
    assert set(found.positions[0].tolist()) == {4, 5, -1}
    assert np.isneginf(found.similarity[0, 2:]).all()
    assert set(found.positions[1].tolist()) == {0, 1, 2, 3, 5}
