from dataclasses import replace

import numpy as np
import pytest

from noisy_lightning.selectors import INCV, ConfidentLearning, NoisyCrossValidation, Selector, Task
from noisy_lightning.selectors.self_check import advice, check_of_folds, checked_on_half
from tests.selectors.toys import K, MadeUp, labels, likely, task


def _weak(true: np.ndarray, accuracy: float, seed: int = 8) -> np.ndarray:
    """Return probabilities (N, K) of a network that is right this often, and the surer, the more often."""
    random = np.random.default_rng(seed)
    right = random.random(len(true)) < accuracy
    classes = np.where(right, true, (true + random.integers(1, K, len(true))) % K)
    sure = np.where(right, random.random(len(true)), 0.5 * random.random(len(true)))
    probability = np.full((len(true), K), 1.0)
    probability[np.arange(len(true)), classes] += 1 + 9 * sure
    rows: np.ndarray = (probability / probability.sum(1, keepdims=True)).astype(np.float32)
    return rows


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.4])
@pytest.mark.parametrize("accuracy", [0.5, 0.97])
def test_weak_networks_are_distinguished_from_noisy_labels(accuracy: float, rate: float) -> None:
    given, true = labels(8000, rate)
    check = check_of_folds(_weak(true, accuracy), task(given))
    assert check is not None
    assert check.noise_rate == pytest.approx(rate, abs=0.06)
    assert check.accuracy_true == pytest.approx(accuracy, abs=0.12)
    assert check.too_weak == (accuracy < 0.9)
    said = advice(check)
    if check.too_weak:
        assert said[0].startswith(
            "the network is too weak for a selection; use the ranking: held out, it predicts only "
        )
        assert "--drop N" in said[0]
    else:
        assert said == []


def test_only_what_was_held_out_and_judged_counts() -> None:
    given, true = labels(400, 0.0)
    probability = likely(true, np.random.default_rng(0))
    probability[:100] = np.nan
    wrong = likely((true + 1) % K, np.random.default_rng(0))
    probability[100:200] = wrong[100:200]
    judged = np.arange(400) >= 200
    check = check_of_folds(probability, Task(given, judged, K, 0))
    assert check is not None
    assert check.accuracy_given == 1
    assert check_of_folds(np.full((400, K), np.nan, np.float32), task(given)) is None


@pytest.mark.parametrize("selector", [NoisyCrossValidation(), ConfidentLearning(folds=2), INCV(iterations=2)])
def test_selectors_that_hold_labels_out_check_themselves_by_these(selector: Selector) -> None:
    given, true = labels(800, 0.2)
    weak = _weak(true, 0.6)
    judgment = selector.select(task(given), MadeUp(lambda fold: weak))
    assert judgment.check == check_of_folds(weak, task(given))


def test_one_half_is_checked_by_what_a_network_says_that_has_learned_the_other() -> None:
    given, true = labels(800, 0.0)
    random = np.random.default_rng(0)
    unseen, seen = likely(true, random), likely((true + 1) % K, random)
    runs = MadeUp(lambda fold: np.where(fold.held_out[:, None], unseen, seen))
    judgment = NoisyCrossValidation().select(task(given), MadeUp(lambda fold: unseen))
    check = checked_on_half(replace(judgment, check=None), task(given), runs, None).check
    assert check is not None
    assert check.accuracy_given == 1


def test_dropping_leaves_out_the_most_suspicious_labels_alone() -> None:
    given, true = labels(400, 0.2)
    judgment = NoisyCrossValidation().select(task(given), MadeUp(lambda fold: _weak(true, 0.6)))
    trusted = np.arange(400) < 10
    judgment = judgment.trusting(trusted)
    for drop, number in ((30, 30), (0.1, 39)):
        dropped = judgment.dropping(drop, trusted)
        assert (~dropped.select).sum() == number
        assert dropped.select[trusted].all()
        assert judgment.score[~dropped.select].min() >= np.nanmax(judgment.score[dropped.select])
        assert not dropped.candidate.any()
