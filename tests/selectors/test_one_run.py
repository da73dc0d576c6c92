"""The selectors that judge by the records of one training run."""

from typing import Any

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.runs.records import Records
from noisy_lightning.selectors import AreaUnderMargin, LossMixture, Selector, Task
from noisy_lightning.selectors.one_run import commonest_prediction, high_component, mean_over_epochs
from tests.selectors.toys import K, MadeUp, labels, likely, recorded, task


def _runs(records: Records, true: Any) -> MadeUp:
    """Return training runs that record this and predict true labels."""
    return MadeUp(lambda fold: likely(true, np.random.default_rng(0)), records)


def _trained(noise: float = 0.1) -> tuple[Any, Any, MadeUp]:
    """Return given and true labels and a training run whose wrong labels have higher losses, less so each epoch."""
    given, true = labels(400)
    random = np.random.default_rng(0)
    wrong = given != true
    loss = np.array([np.where(wrong, 3 - epoch, 0.3) + noise * random.random(400) for epoch in range(3)], np.float32)
    prediction = np.array([true, true, np.where(wrong, given, true)])
    return given, true, _runs(recorded(loss, given, prediction, margin=-loss), true)


@pytest.mark.parametrize("selector", [LossMixture(), LossMixture(last=2), AreaUnderMargin()])
def test_low_losses_and_wide_margins_are_trusted(selector: Selector) -> None:
    given, true, runs = _trained()
    judgment = selector.select(task(given), runs)
    assert np.array_equal(judgment.select, given == true)
    assert judgment.score[given != true].min() > judgment.score[given == true].max()
    assert np.array_equal(judgment.suggested, np.where(given == true, -1, true))
    assert judgment.noise_rate == pytest.approx((given != true).mean())
    fold, half = runs.asked
    assert fold.train.all()
    assert not fold.held_out.any()
    assert np.array_equal(half.train, ~half.held_out)
    assert half.train.sum() == 200


@pytest.mark.parametrize("selector", [LossMixture(epochs=3), AreaUnderMargin(epochs=3)])
def test_the_network_is_checked_on_the_half_that_it_has_not_seen(selector: Selector) -> None:
    given, true, runs = _trained()
    runs.predict = lambda fold: likely(np.where(fold.held_out, true, (true + 1) % K), np.random.default_rng(0))
    judgment = selector.select(task(given), runs)
    half = runs.asked[1]
    assert half.epochs == 3
    assert judgment.check is not None
    assert judgment.check.accuracy_given == pytest.approx((given == true)[half.held_out].mean())


@pytest.mark.parametrize("selector", [LossMixture(), AreaUnderMargin()])
def test_one_group_selects_everything_with_a_warning(selector: Selector) -> None:
    given, _ = labels(40)
    records = recorded(np.ones((2, 40), np.float32), given, margin=np.ones((2, 40), np.float32))
    constant = _runs(records, given)
    judgment = selector.select(task(given), constant)
    assert judgment.select.all()
    assert judgment.noise_rate == 0
    assert "do not fall into two groups: all labels are selected" in judgment.warnings[-1]


def test_a_sample_that_was_never_seen_is_not_judged() -> None:
    given, true, runs = _trained()
    assert runs.recorded is not None
    runs.recorded.loss[:, 5] = np.nan
    judged = np.arange(400) != 9
    judgment = LossMixture().select(Task(given, judged, K, 0), runs)
    for sample in (5, 9):
        assert np.isnan(judgment.score[sample])
        assert not judgment.select[sample]
    assert np.array_equal(np.delete(judgment.select, [5, 9]), np.delete(given == true, [5, 9]))


def test_the_threshold_decides_how_sure_to_be() -> None:
    given, _, runs = _trained(noise=3.0)
    strict, lax = (LossMixture(threshold=share).select(task(given), runs).select for share in (0.01, 0.99))
    assert strict.sum() < lax.sum()
    assert not (strict & ~lax).any()


@pytest.mark.parametrize(("selector", "measure"), [(LossMixture(), "losses"), (AreaUnderMargin(), "areas")])
def test_a_run_that_diverged_is_named(selector: Selector, measure: str) -> None:
    given, _ = labels(40)
    nothing = np.full((2, 40), np.nan, np.float32)
    with pytest.raises(InputError, match=f"no finite {measure}.*, so it has diverged, see run;"):
        selector.select(task(given), MadeUp(recorded=recorded(nothing, given, margin=nothing)))


@pytest.mark.parametrize("selector", [LossMixture(), AreaUnderMargin()])
def test_fewer_samples_than_classes_are_refused_before_training(selector: Selector) -> None:
    runs = MadeUp()
    with pytest.raises(InputError, match="all_labels would train on 3 samples, fewer than the 4 classes"):
        selector.select(task(labels(3)[0]), runs)
    assert not runs.asked


def test_records_without_margins_are_refused() -> None:
    given, _ = labels(40)
    old = MadeUp(recorded=recorded(np.ones((2, 40), np.float32), given))
    with pytest.raises(InputError, match="no recorded margins: it comes from an older version"):
        AreaUnderMargin().select(task(given), old)


def test_means_leave_out_what_is_not_finite() -> None:
    values = np.array([[1, np.nan, np.nan], [3, 5, np.nan], [np.inf, 7, np.nan]], np.float32)
    np.testing.assert_array_equal(mean_over_epochs(values, None), [2, 6, np.nan])
    np.testing.assert_array_equal(mean_over_epochs(values, 1), [np.nan, 7, np.nan])


def test_the_commonest_prediction_is_that_of_most_epochs_and_none_of_an_unseen_sample() -> None:
    prediction = np.array([[0, 1, -1, 2], [0, 2, -1, -1], [1, 1, -1, 3]])
    records = recorded(np.ones((3, 4), np.float32), np.zeros(4, int), prediction)
    assert commonest_prediction(records, K).tolist() == [0, 1, -1, 2]


@pytest.mark.parametrize("values", [[1.0] * 20, [1.0, 2.0], [np.nan, *range(20)], [np.inf, *range(20)]])
def test_what_cannot_be_split_is_not(values: list[float]) -> None:
    assert high_component(np.array(values, np.float32), np.ones(len(values), bool)) is None


@pytest.mark.parametrize(
    ("selector", "arguments"),
    [
        (LossMixture, {"epochs": 0}),
        (LossMixture, {"last": 0}),
        (LossMixture, {"threshold": 1.0}),
        (AreaUnderMargin, {"epochs": 0}),
        (AreaUnderMargin, {"threshold": 0.0}),
    ],
)
def test_a_value_out_of_range_is_refused(selector: Any, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        selector(**arguments)
