from dataclasses import replace

import numpy as np
import pytest
import torch

from noisy_lightning.data.audit.features import Neighbors, nearest_neighbors, unit_features
from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.consensus import explained
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.selectors import hoc
from noisy_lightning.selectors.hoc import Consensus, consensus, consensus_of, label_triples
from tests.selectors.clouds import clouds
from tests.selectors.toys import task

T = np.array([[0.8, 0.2, 0, 0], [0, 0.6, 0.3, 0.1], [0.1, 0.1, 0.7, 0.1], [0, 0, 0, 1]])
PRIORS = np.array([0.4, 0.3, 0.2, 0.1])


def _given(count: int, seed: int = 0) -> tuple[Ints, Ints]:
    """Return labels given by T and the true ones."""
    random = np.random.default_rng(seed)
    true = random.choice(4, count, p=PRIORS)
    return np.array([random.choice(4, p=T[label]) for label in true]), true


def test_matrix_shares_and_rate_are_found_from_features_and_given_labels() -> None:
    given, true = _given(6000)
    every = np.ones(6000, bool)
    neighbors = nearest_neighbors(unit_features(clouds(true), every), every, 2)
    estimate, warnings = consensus_of(task(given), np.arange(6000), neighbors)
    assert estimate is not None
    # The same samples are neighbors of many others, so the triples say as much as far fewer independent ones would.
    np.testing.assert_allclose(estimate.transition, T, atol=0.08)
    np.testing.assert_allclose(estimate.priors, PRIORS, atol=0.05)
    assert estimate.rate == pytest.approx((given != true).mean(), abs=0.02)
    assert "rests on 6,000 samples" in warnings[0]
    right = [(true == given)[given == label].mean() for label in range(4)]
    np.testing.assert_allclose(estimate.share_right(given), right, atol=0.1)


def test_independent_labels_of_one_class_are_explained_exactly() -> None:
    true = np.random.default_rng(0).choice(4, 100_000, p=PRIORS)
    reached = T.cumsum(1)[true]
    draws = np.random.default_rng(1).random((3, 100_000, 1))
    triples = (draws > reached).sum(2).clip(0, 3).T
    estimate = consensus(triples, 4, np.random.default_rng(0))
    np.testing.assert_allclose(estimate.transition, T, atol=0.015)
    np.testing.assert_allclose(estimate.priors, PRIORS, atol=0.015)
    assert estimate.rate == pytest.approx(1 - PRIORS @ T.diagonal(), abs=0.005)


def test_enough_samples_are_no_reason_to_warn_and_a_seed_gives_the_same() -> None:
    true = np.random.default_rng(0).choice(4, 15_000, p=PRIORS)
    estimates = [consensus(np.column_stack([true] * 3), 4, task(true, seed).generator(0)) for seed in (3, 3, 4)]
    assert not estimates[0].warnings
    assert estimates[0].rate < 0.01
    np.testing.assert_array_equal(estimates[0].transition, estimates[1].transition)
    assert not np.array_equal(estimates[0].priors, estimates[2].priors)


def test_consensuses_are_sums_over_the_true_class() -> None:
    transition, priors = torch.from_numpy(T), torch.from_numpy(PRIORS)
    first, second, third = explained(transition, priors)
    torch.testing.assert_close(first, torch.einsum("i,ia->a", priors, transition))
    torch.testing.assert_close(second, torch.einsum("i,ia,ib->ab", priors, transition, transition))
    torch.testing.assert_close(third, torch.einsum("i,ia,ib,ic->abc", priors, transition, transition, transition))


def test_of_very_many_samples_neighbors_are_sought_among_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hoc, "DRAWN", 200)
    monkeypatch.setattr(hoc, "MANY", 500)
    given, true = _given(2000)
    asked: list[tuple[int, int]] = []

    def sought(unit: Floats, usable: Bools, k: int, groups: Ints | None, queries: Ints) -> Neighbors:
        asked.append((usable.sum(), usable[queries].sum()))
        return nearest_neighbors(unit, usable, k, groups, queries)

    monkeypatch.setattr(hoc, "nearest_neighbors", sought)
    judged = np.arange(2000) < 1500
    estimate, _ = hoc.consensus_of_some(replace(task(given), judged=judged), unit_features(clouds(true), judged))
    assert asked == [(500, 200)]
    assert estimate is not None
    assert estimate.rate == pytest.approx((given != true).mean(), abs=0.1)


def test_samples_without_two_neighbors_do_not_count() -> None:
    given = np.array([0, 1, 2, 3, 0])
    groups = np.array([0, 0, 0, 0, -1])  # the last is the only neighbor of the others
    every = np.ones(5, bool)
    neighbors = nearest_neighbors(unit_features(clouds(given), every), every, 3, groups)
    triples = label_triples(given, np.arange(5), neighbors)
    assert triples[:, 0].tolist() == [0]
    estimate, warnings = consensus_of(task(given), np.arange(4), neighbors.of(np.arange(4)))
    assert estimate is None
    assert warnings == [
        "the noise rate is not estimated: no sample has two neighbors, so their labels cannot be compared"
    ]


def test_more_classes_than_can_be_fitted_are_refused() -> None:
    with pytest.raises(InputError, match="fitted to 128 classes at most, not to 129"):
        consensus(np.zeros((5, 3), int), 129, np.random.default_rng(0))
    given = np.zeros(5, int)
    every = np.ones(5, bool)
    neighbors = nearest_neighbors(unit_features(clouds(given), every), every, 2)
    estimate, (warning,) = consensus_of(replace(task(given), num_classes=129), np.arange(5), neighbors)
    assert estimate is None
    assert "129" in warning


def test_the_share_of_right_labels_is_a_share_whatever_was_fitted() -> None:
    estimate = Consensus(0.1, np.eye(3), np.array([0.5, 0.5, 0.0]), [])
    np.testing.assert_allclose(estimate.share_right(np.array([0, 0, 0, 1])), [0.5 / 0.75, 1, 1])
