import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.selectors.folds import stratified_folds


def _counts(labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return how many samples of each class each fold has."""
    counts = np.zeros((labels.max() + 1, fold.max() + 1), int)
    np.add.at(counts, (labels[fold >= 0], fold[fold >= 0]), 1)
    return counts


def test_each_class_is_spread_evenly() -> None:
    labels = np.repeat([0, 1, 2], [50, 23, 7])
    members = np.setdiff1d(np.arange(80), [3, 60])
    fold = stratified_folds(labels, members, 5, np.random.default_rng(0))
    counts = _counts(labels, fold)
    assert (fold[[3, 60]] == -1).all()
    assert np.ptp(counts, axis=1).max() <= 1
    assert np.ptp(counts.sum(0)) <= 1
    again = stratified_folds(labels, members, 5, np.random.default_rng(1))
    assert (fold != again).any()


def test_a_group_stays_whole_and_classes_even() -> None:
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 100)
    groups = np.full(400, -1)
    groups[:300] = np.sort(generator.integers(0, 60, 300))
    fold = stratified_folds(labels, np.arange(400), 5, generator, groups)
    for group in np.unique(groups[groups >= 0]):
        assert len(set(fold[groups == group].tolist())) == 1
    assert np.ptp(_counts(labels, fold).sum(0)) <= 6
    assert _counts(labels, fold).min() >= 10
    assert len(set(fold[groups < 0].tolist())) == 5


def test_groups_of_rare_classes_are_spread_over_the_folds() -> None:
    """Each class has one group, for which all folds are alike but for what other classes have put there."""
    labels, groups = np.repeat(np.arange(10), 3), np.repeat(np.arange(10), 3)
    fold = stratified_folds(labels, np.arange(30), 5, np.random.default_rng(0), groups)
    assert np.bincount(fold).tolist() == [6] * 5


def test_more_folds_than_samples_or_groups_are_refused() -> None:
    with pytest.raises(InputError, match=r"selector\.folds must be at most 3, the samples or groups to judge, got 4"):
        stratified_folds(np.array([0, 1, 0, 1]), np.arange(3), 4, np.random.default_rng(0))
    groups = np.array([0, 0, 1, 1])
    with pytest.raises(InputError, match=r"at most 2, the samples or groups"):
        stratified_folds(np.array([0, 1, 0, 1]), np.arange(4), 3, np.random.default_rng(0), groups)
