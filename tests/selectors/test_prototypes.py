from dataclasses import replace

import numpy as np
import pytest

from noisy_lightning.data.audit.features import unit_features
from noisy_lightning.methods.parts.prototypes import prototype_cosines
from noisy_lightning.methods.parts.two_gaussians import upper_group
from noisy_lightning.selectors import Prototypes
from tests.selectors.clouds import clouds
from tests.selectors.toys import K, MadeUp, labels, task

RUNS = MadeUp()  # answers nothing: none may be asked for


def test_wrong_labels_are_found_and_corrected() -> None:
    given, true = labels(600)
    wrong = given != true
    judgment = Prototypes().select(replace(task(given), features=clouds(true)), RUNS)
    assert np.array_equal(judgment.select, ~wrong)
    assert judgment.score[wrong].min() > judgment.score[~wrong].max()
    assert np.array_equal(judgment.suggested, np.where(wrong, true, -1))
    assert judgment.noise_rate == pytest.approx(wrong.mean(), abs=0.04)
    assert "err independently" in judgment.assumption
    assert not judgment.candidate.any()


def test_prototypes_are_means_of_the_other_samples_and_other_groups() -> None:
    given, true = labels(40)
    judged = np.arange(40) % 9 != 0
    groups = np.where(np.arange(40) < 15, np.arange(40) // 5, -1)
    for grouped in (None, groups):
        unit = unit_features(clouds(true, 0.5), judged)
        cosines = prototype_cosines(unit, given, judged, K, grouped)
        for sample in np.flatnonzero(judged):
            own = np.arange(40) == sample
            if grouped is not None and grouped[sample] >= 0:
                own |= grouped == grouped[sample]
            for label in range(K):
                mean = unit[judged & ~own & (given == label)].mean(0)
                assert cosines[sample, label] == pytest.approx(unit[sample] @ mean / np.linalg.norm(mean), abs=1e-4)


def test_neighbors_decide_on_the_doubtful() -> None:
    """Between two classes of two clouds each, no mean is near, but neighbors are."""
    given, true = labels(1200, 0.2)
    cloud = np.where(np.arange(1200) % 8 < 4, true, true + K)
    features = clouds(cloud, 0.3)
    wrong = given != true
    judgment = Prototypes(clean=0.99).select(replace(task(given), features=features), RUNS)
    by_margin = judgment.score <= 0
    assert (judgment.select == ~wrong).mean() > max(0.93, (by_margin == ~wrong).mean())
    assert (judgment.select != by_margin).any()


def test_what_is_not_judged_has_no_score_and_is_no_part_of_a_prototype() -> None:
    given, true = labels(400, 0.2)
    judged = np.arange(400) >= 100
    given[~judged] = (true[~judged] + 1) % K
    asked = replace(task(given), judged=judged, features=clouds(true))
    judgment = Prototypes().select(asked, RUNS)
    assert np.isnan(judgment.score[~judged]).all()
    assert not judgment.select[~judged].any()
    assert (judgment.select == (given == true))[judged].mean() > 0.98


def test_a_label_of_its_own_and_a_class_without_labels_are_no_obstacle() -> None:
    true = np.arange(300) % 3
    given = np.where(np.random.default_rng(0).random(300) < 0.3, (true + 1) % 3, true)
    given[5] = 3  # the only one of four classes with this label
    judgment = Prototypes().select(replace(task(given), num_classes=6, features=clouds(true)), RUNS)
    assert np.isnan(judgment.score[5])
    assert not judgment.select[5]
    assert any("1 samples have no other of their label" in warning for warning in judgment.warnings)
    assert not (judgment.suggested > 3).any()


def test_features_that_say_nothing_select_everything_with_a_warning() -> None:
    given, _ = labels(60)
    judgment = Prototypes().select(replace(task(given), features=np.ones((60, 1, 5), np.uint8)), RUNS)
    assert judgment.select.all()
    assert "the margins do not fall into two groups: all labels are selected" in judgment.warnings


def test_the_probability_of_the_upper_group_never_falls() -> None:
    random = np.random.default_rng(0)
    values = np.concatenate([random.normal(0, 5, 300), random.normal(2, 0.3, 300)]).astype(np.float32)
    upper = upper_group(values)
    assert upper is not None
    far = values > 4
    assert (np.diff(upper[np.argsort(values)])[:-1] >= -1e-9)[values[np.argsort(values)][:-2] > 2].all()
    assert upper[far].min() > 0.5
    assert upper_group(np.ones(50, np.float32)) is None


@pytest.mark.parametrize("arguments", [{"clean": 0.5}, {"clean": 1.0}, {"k": 0}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Prototypes(**arguments)  # type: ignore[arg-type]
