import zlib
from typing import Any, Literal

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.noise_rate import rate_from_agreement
from noisy_lightning.runs.measures import Floats
from noisy_lightning.selectors import INCV, Fold, Task
from tests.reference import incv as reference
from tests.selectors.toys import K, MadeUp, labels, likely, task


def _predictor(accuracy: float, true: Any) -> Any:
    """Return what a fold predicts: the true class as often as this, by draws of its own for each fold."""

    def predict(fold: Fold) -> Floats:
        random = np.random.default_rng(zlib.crc32(fold.name.encode()))
        right = random.random(len(true)) < accuracy
        return likely(np.where(right, true, (true + random.integers(1, K, len(true))) % K), random)

    return predict


@pytest.mark.parametrize(
    ("rate", "accuracy", "pattern", "ratio"),
    [
        (0.1, 0.9, "symmetric", None),
        (0.4, 0.8, "symmetric", None),
        (0.7, 0.5, "symmetric", None),
        (0.4, 0.7, "pair", None),
        (0.4, 0.7, "symmetric", 0.0),
        (0.4, 0.7, "symmetric", 5.0),
    ],
)
def test_selects_as_the_authors_do(
    rate: float, accuracy: float, pattern: Literal["symmetric", "pair"], ratio: float | None
) -> None:
    given, true = labels(203, rate)
    problem, runs = task(given), MadeUp(_predictor(accuracy, true))
    selector = INCV(removal_ratio="estimate" if ratio is None else ratio, pattern=pattern, inversion="symmetric")
    judgment = selector.select(problem, runs)
    folds = iter(runs.asked)

    def halves_of(t: int, candidates: list[int]) -> list[list[int]]:
        order = problem.generator(t).permutation(candidates)
        return [order[: -(-len(order) // 2)].tolist(), order[-(-len(order) // 2) :].tolist()]

    def predict(t: int, half: int, learned: list[int]) -> Floats:
        fold = next(folds)
        assert np.flatnonzero(fold.train).tolist() == learned
        assert not (fold.train & fold.held_out).any()
        return _predictor(accuracy, true)(fold)  # type: ignore[no-any-return]

    def invert(agreement: float, classes: int) -> float:
        return rate_from_agreement(agreement, classes, "symmetric")  # theirs is rounded up to a thousandth

    history, candidates, epsilon, best = reference.incv(given, K, 4, halves_of, predict, pattern, invert, ratio)
    assert [np.flatnonzero(select).tolist() for select in judgment.iterations] == history
    assert np.flatnonzero(judgment.select).tolist() == history[-1]
    assert np.flatnonzero(judgment.candidate).tolist() == candidates
    assert [fold.best for fold in runs.asked] == best
    assert judgment.noise_rate == epsilon


def test_score_and_suggestion_are_of_all_networks_that_have_not_seen_a_sample() -> None:
    given, true = labels(120)
    runs = MadeUp(_predictor(0.8, true))
    judgment = INCV(iterations=3).select(task(given), runs)
    networks = set()
    for sample in range(120):
        rows = [_predictor(0.8, true)(fold)[sample] for fold in runs.asked if not fold.train[sample]]
        networks.add(len(rows))
        mean = np.mean(rows, 0)
        assert judgment.score[sample] == pytest.approx(1 - mean[given[sample]])
        kept = judgment.select[sample] or mean.argmax() == given[sample]
        assert judgment.suggested[sample] == (-1 if kept else mean.argmax())
    # Selected in an iteration of three, or a candidate to the end; removed in the first or the second.
    assert networks == {1, 2, 3, 4, 5}


def test_nothing_is_removed_where_no_label_is_wrong() -> None:
    """The authors' slice [-0:] would remove every sample."""
    _, true = labels(80)
    half = MadeUp(lambda fold: likely(np.where(np.arange(80) % 2, true, (true + 1) % K), np.random.default_rng(0)))
    assert INCV(1, removal_ratio=0.0).select(task(true), half).candidate.sum() == 40
    perfect = MadeUp(lambda fold: likely(true, np.random.default_rng(0)))
    judgment = INCV().select(task(true), perfect)
    assert judgment.select.all()
    assert judgment.noise_rate == 0
    assert judgment.warnings == ["iteration 2 has too few candidates left: the selection ends before it"]
    assert len(perfect.asked) == 2


@pytest.mark.parametrize(("rate", "iterations"), [(0.0, 4), (0.3, 4), (0.301, 2), (0.6, 2), (0.601, 1), (1.0, 1)])
def test_the_noisier_the_labels_the_sooner_networks_are_not_chosen_any_more(rate: float, iterations: int) -> None:
    assert INCV()._best_until(rate) == iterations
    assert INCV(pattern="pair")._best_until(rate) == 1


@pytest.mark.parametrize(("rate", "number"), [(0.0, 0), (0.25, 1), (0.5, 3), (0.6, 4), (0.75, 6), (1.0, 6)], ids=str)
def test_at_most_twice_as_many_are_removed_as_agree(rate: float, number: int) -> None:
    """Of nine samples that do not agree; rate / (1 − rate) for each of three that do."""
    given = np.zeros(12, int)
    right = np.linspace(0.01, 0.99, 12, dtype=np.float32)
    probability = np.stack([right, *[(1 - right) / (K - 1)] * (K - 1)], 1)
    agreeing = np.arange(12) >= 9
    removed = INCV()._least_likely(np.ones(12, bool), agreeing, probability, given, rate)
    assert np.flatnonzero(removed).tolist() == list(range(number))


def test_the_estimate_at_its_bound_warns() -> None:
    given, true = labels(400, 0.0)
    wrong = MadeUp(lambda fold: likely((true + 1) % K, np.random.default_rng(0)))
    judgment = INCV(1).select(task(given), wrong)
    assert judgment.noise_rate == pytest.approx(1 - 1 / K)
    assert any("the estimate is at its bound, 0.750" in warning for warning in judgment.warnings)


@pytest.mark.parametrize(("inversion", "expected"), [("symmetric", 0.286), ("pair", 0.4), (None, 0.4)])
def test_pair_noise_can_be_inverted_as_such(inversion: Literal["symmetric", "pair"] | None, expected: float) -> None:
    """Predictions with 40 % of pair noise agree with 52 % of such labels, as with 28.6 % of symmetric noise."""
    classes = np.arange(2000) % 10

    def predict(fold: Fold) -> Floats:
        held_out = np.flatnonzero(fold.held_out)
        prediction = (classes + 1) % 10
        prediction[held_out[: round(0.52 * len(held_out))]] = classes[held_out[: round(0.52 * len(held_out))]]
        return np.eye(10, dtype=np.float32)[prediction]

    problem = Task(classes, np.ones(2000, bool), 10, 0)
    judgment = INCV(1, pattern="pair", inversion=inversion).select(problem, MadeUp(predict))
    assert judgment.noise_rate == pytest.approx(expected, abs=1e-3)


def test_given_patterns_are_marked() -> None:
    assert not INCV().oracle
    assert INCV(pattern="pair").oracle
    assert INCV(inversion="pair").oracle
    assert INCV(removal_ratio=1.0).oracle


def test_only_judged_samples_take_part() -> None:
    given, true = labels(60)
    judged = np.arange(60) != 7
    runs = MadeUp(_predictor(0.8, true))
    judgment = INCV(2).select(Task(given, judged, K, 0), runs)
    assert not any(fold.train[7] or fold.held_out[7] for fold in runs.asked)
    assert np.isnan(judgment.score[7])
    assert judgment.suggested[7] == -1
    assert not judgment.select[7]
    assert not judgment.candidate[7]


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (7, "iteration_1_second would train on 3 samples, fewer than the 4 classes"),
        (1, "iteration_1_first would train on 1 samples"),
        (0, "iteration_1_first would train on 0 samples"),
    ],
)
def test_a_fold_with_fewer_samples_than_classes_is_refused(count: int, message: str) -> None:
    given, true = labels(count)
    with pytest.raises(InputError, match=message):
        INCV().select(task(given), MadeUp(_predictor(1.0, true)))


def test_a_class_that_a_fold_does_not_see_is_named() -> None:
    given = np.array([0, 1, 2] * 10 + [3])
    judgment = INCV(1).select(task(given), MadeUp(_predictor(1.0, given)))
    (warning,) = judgment.warnings
    assert "trains on no sample of class 3: it cannot predict what it never saw" in warning


@pytest.mark.parametrize("arguments", [{"iterations": 0}, {"epochs": 0}, {"removal_ratio": -0.1}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        INCV(**arguments)
