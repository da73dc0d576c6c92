import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import Floats
from noisy_lightning.selectors import Fold, NoisyCrossValidation, Task
from tests.selectors.toys import K, MadeUp, labels, likely, task


def _by_name(true: np.ndarray) -> MadeUp:
    """Return training runs whose first fold is always right and whose others always take the next class."""

    def predict(fold: Fold) -> Floats:
        classes = true if fold.name == "fold_1" else (true + 1) % K
        return likely(classes, np.random.default_rng(0))

    return MadeUp(predict)


@pytest.mark.parametrize("folds", [2, 5])
def test_each_sample_is_judged_by_the_fold_that_has_not_seen_it(folds: int) -> None:
    given, true = labels(101)
    runs = _by_name(true)
    judgment = NoisyCrossValidation(folds).select(task(given), runs)
    held_out = np.array([fold.held_out for fold in runs.asked])
    assert (held_out.sum(0) == 1).all()
    assert np.array_equal(held_out, [~fold.train for fold in runs.asked])
    assert np.ptp(held_out.sum(1)) <= 1
    expected = np.where(held_out[0], true, (true + 1) % K)
    assert judgment.prediction is not None
    assert np.array_equal(judgment.prediction, expected)
    assert np.array_equal(judgment.select, expected == given)
    assert np.array_equal(judgment.suggested, np.where(expected == given, -1, expected))
    assert not judgment.candidate.any()


def test_the_agreement_is_that_of_the_samples_that_are_judged() -> None:
    given, true = labels(80, 0.0)
    judged = np.arange(80) % 4 > 0
    runs = MadeUp(lambda fold: np.where(judged[:, None], likely(true, np.random.default_rng(0)), np.nan))
    judgment = NoisyCrossValidation().select(Task(given, judged, K, 0), runs)
    assert np.array_equal(judgment.select, judged)
    assert judgment.noise_rate == 0


def test_the_split_follows_the_seed() -> None:
    given, true = labels(50)
    parts = []
    for seed in (0, 0, 1):
        runs = _by_name(true)
        NoisyCrossValidation().select(task(given, seed), runs)
        parts.append(runs.asked[0].held_out)
    assert np.array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], parts[2])


def test_options_reach_the_folds() -> None:
    given, true = labels(50)
    runs = _by_name(true)
    NoisyCrossValidation(best=True, epochs=3).select(task(given), runs)
    assert [(fold.best, fold.epochs) for fold in runs.asked] == [(True, 3)] * 2


def test_the_noise_rate_follows_from_the_agreement() -> None:
    given, _ = labels(4000, 0.3)
    predictions = {fold: labels(4000, 0.3, seed)[0] for seed, fold in enumerate(("fold_1", "fold_2"), 5)}
    runs = MadeUp(lambda fold: likely(predictions[fold.name], np.random.default_rng(0)))
    judgment = NoisyCrossValidation().select(task(given), runs)
    assert judgment.noise_rate == pytest.approx(0.3, abs=0.03)
    assert judgment.assumption.startswith("symmetric noise")
    assert not NoisyCrossValidation().oracle
    assert NoisyCrossValidation(inversion="pair").oracle


def test_too_few_samples_are_refused() -> None:
    given, true = labels(6)
    with pytest.raises(InputError, match="fold_1 would train on 3 samples, fewer than the 4 classes"):
        NoisyCrossValidation().select(task(given), _by_name(true))


def test_more_folds_than_samples_are_refused() -> None:
    """They would train on everything, and hold out nothing."""
    given, true = labels(20)
    NoisyCrossValidation(20).select(task(given), _by_name(true))
    with pytest.raises(InputError, match="folds must be at most 20, the number of samples to judge, got 21"):
        NoisyCrossValidation(21).select(task(given), _by_name(true))


@pytest.mark.parametrize("arguments", [{"folds": 1}, {"epochs": 0}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        NoisyCrossValidation(**arguments)  # type: ignore[arg-type]
