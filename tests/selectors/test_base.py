from dataclasses import replace

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.selectors import Fold, Judgment
from noisy_lightning.selectors.base import check_fold
from tests.selectors.toys import K, task


def test_samples_known_to_be_right_are_selected_and_nothing_else() -> None:
    judgment = Judgment(
        select=np.array([True, False, False, False]),
        score=np.array([0.1, 0.9, 0.8, 0.7], np.float32),
        suggested=np.array([-1, 2, 3, -1]),
        candidate=np.array([False, True, False, True]),
    )
    trusting = judgment.trusting(np.array([False, True, True, False]))
    assert trusting.select.tolist() == [True, True, True, False]
    assert trusting.candidate.tolist() == [False, False, False, True]
    assert trusting.suggested.tolist() == [-1, -1, -1, -1]
    np.testing.assert_array_equal(trusting.score, np.array([0.1, np.nan, np.nan, 0.7], np.float32))
    assert not (trusting.select & trusting.candidate).any()


def test_each_purpose_and_seed_has_draws_of_its_own() -> None:
    given = np.zeros(4, int)
    draws = [task(given, seed).generator(*purpose).random() for seed in (0, 1) for purpose in ((0,), (1,), (1, 2))]
    assert len(set(draws)) == 6
    assert task(given, 1).generator(1).random() == draws[4]


def test_a_fold_needs_as_many_samples_as_classes() -> None:
    given, train = np.arange(2 * K) % K, np.arange(2 * K) < K
    assert check_fold(task(given), Fold("fold", train, ~train)) == []
    with pytest.raises(InputError, match=f"fold would train on {K - 1} samples, fewer than the {K} classes"):
        check_fold(task(given), Fold("fold", train & (given > 0), ~train))


def test_classes_that_a_fold_lacks_are_called_by_their_names() -> None:
    given = np.repeat(np.arange(K), 8)
    fold = Fold("fold", given < 2, given >= 2)
    (warning,) = check_fold(replace(task(given), class_names=["cat", "dog", "frog", "3"]), fold)
    assert warning == "fold trains on no sample of 'frog' (class 2), class 3: it cannot predict what it never saw"
    (warning,) = check_fold(task(given), fold)
    assert warning == "fold trains on no sample of class 2, class 3: it cannot predict what it never saw"
