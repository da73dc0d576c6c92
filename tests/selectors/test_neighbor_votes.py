"""What all selectors refuse that judge by features."""

from dataclasses import replace

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.selectors import NearestNeighbours, Prototypes, Selector
from tests.selectors.clouds import clouds
from tests.selectors.toys import MadeUp, labels, task

SELECTORS = [NearestNeighbours(), NearestNeighbours(rule="rank"), Prototypes()]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_data_set_without_features_is_refused(selector: Selector) -> None:
    with pytest.raises(InputError, match="which this data set has not: set data to Embedded"):
        selector.select(task(labels(40)[0]), MadeUp())


@pytest.mark.parametrize("selector", SELECTORS)
def test_features_that_are_not_finite_are_refused(selector: Selector) -> None:
    given, true = labels(40)
    features = clouds(true)
    features[[3, 7], 0, 1] = np.inf, -np.inf
    with pytest.raises(InputError, match="features of image 3 are not finite"):
        selector.select(replace(task(given), features=features), MadeUp())


@pytest.mark.parametrize("selector", SELECTORS)
def test_fewer_than_three_labels_are_refused(selector: Selector) -> None:
    given, true = labels(40)
    asked = replace(task(given), judged=np.arange(40) < 2, features=clouds(true))
    with pytest.raises(InputError, match="only 2 labels to judge"):
        selector.select(asked, MadeUp())


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_same_seed_judges_alike_and_nothing_is_trained(selector: Selector) -> None:
    given, true = labels(200)
    first, second = (selector.select(replace(task(given), features=clouds(true)), MadeUp()) for _ in range(2))
    np.testing.assert_array_equal(first.score, second.score)
    assert first.noise_rate == second.noise_rate
