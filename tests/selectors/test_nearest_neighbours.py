import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest

from noisy_lightning.data.audit.features import nearest_neighbors, unit_features
from noisy_lightning.errors import InputError
from noisy_lightning.selectors import NearestNeighbours
from noisy_lightning.selectors.hoc import consensus_of
from noisy_lightning.selectors.neighbor_votes import best_k, votes
from tests.selectors.clouds import clouds
from tests.selectors.toys import K, MadeUp, labels, task

RUNS = MadeUp()  # answers nothing: none may be asked for


@pytest.mark.parametrize(("rule", "right"), [("vote", 0.999), ("rank", 0.9)])  # HOC's rate is off by some percent
def test_wrong_labels_are_found_and_corrected(rule: Literal["vote", "rank"], right: float) -> None:
    given, true = labels(600)
    wrong = given != true
    judgment = NearestNeighbours(rule=rule).select(replace(task(given), features=clouds(true)), RUNS)
    assert (judgment.select == ~wrong).mean() >= right
    assert judgment.score[wrong].min() > judgment.score[~wrong].max()
    assert np.array_equal(judgment.suggested, np.where(wrong, true, -1))
    assert judgment.noise_rate == pytest.approx(wrong.mean(), abs=0.04)
    assert "err independently" in judgment.assumption
    assert judgment.check is not None
    assert not judgment.check.too_weak
    assert not judgment.candidate.any()


def test_the_score_is_the_log_odds_of_the_best_other_class() -> None:
    given, true = labels(80)
    features = clouds(true, spread=0.6)
    judgment = NearestNeighbours(k=7).select(replace(task(given), features=features), RUNS)
    centered = features[:, 0] - features[:, 0].mean(0)
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    cosines = unit @ unit.T
    for sample in range(80):
        others = [other for other in np.argsort(-cosines[sample]) if other != sample][:7]
        table = np.zeros(K)
        for other in others:
            table[given[other]] += max(0.0, cosines[sample, other])
        table *= 7 / table.sum()
        best = max(table[label] for label in range(K) if label != given[sample])
        score = math.log((best + 1) / (table[given[sample]] + 1))
        assert judgment.score[sample] == pytest.approx(score, abs=1e-4)
        assert judgment.select[sample] == (score <= 0)
        assert judgment.suggested[sample] == (-1 if score <= 0 else table.argmax())


def test_of_each_label_rank_takes_as_many_as_hoc_says() -> None:
    given, true = labels(600)
    asked = replace(task(given), features=clouds(true, spread=0.4))
    neighbors = nearest_neighbors(unit_features(clouds(true, spread=0.4), asked.judged), asked.judged, 10)
    estimate, _ = consensus_of(asked, np.arange(600), neighbors)
    assert estimate is not None
    judgment = NearestNeighbours(k=10, rule="rank").select(asked, RUNS)
    for label, right in enumerate(estimate.share_right(given)):
        of_label = given == label
        assert (of_label & ~judgment.select).sum() == round((1 - right) * of_label.sum())
        kept, dropped = judgment.score[of_label & judgment.select], judgment.score[of_label & ~judgment.select]
        assert kept.max() <= dropped.min()


def test_what_is_not_judged_has_no_score_and_no_vote() -> None:
    given, true = labels(400, 0)
    judged = np.arange(400) % 2 == 0
    given = np.where(judged, given, (given + 1) % K)
    judgment = NearestNeighbours(k=5).select(replace(task(given), judged=judged, features=clouds(true)), RUNS)
    assert np.isnan(judgment.score[~judged]).all()
    assert not judgment.select[~judged].any()
    assert judgment.select[judged].all()


def test_images_of_one_group_do_not_confirm_each_other() -> None:
    given, true = labels(400, 0)
    features = clouds(true)
    features[:12] = features[0]  # a burst, all with the same wrong label
    given[:12] = (true[0] + 1) % K
    groups = np.where(np.arange(400) < 12, 7, -1)
    asked = replace(task(given), features=features)
    assert NearestNeighbours(k=10).select(asked, RUNS).select[:12].all()
    judgment = NearestNeighbours(k=10).select(replace(asked, groups=groups), RUNS)
    assert not judgment.select[:12].any()
    assert (judgment.suggested[:12] == true[0]).all()


def test_k_is_the_one_whose_votes_name_most_given_labels() -> None:
    tried = (1, 3, 10, 40)
    chosen: list[int] = []
    for rate in (0.0, 0.3, 0.6):
        given, true = labels(400, rate)
        every = np.ones(400, bool)
        neighbors = nearest_neighbors(unit_features(clouds(true, 0.1), every), every, 40)
        agreeing = [(votes(neighbors, given, K, k).argmax(1) == given).sum() for k in tried]
        chosen.append(best_k(neighbors, given, K, tried))
        assert chosen[-1] == tried[int(np.argmax(agreeing))]
    assert chosen[0] == 1  # the smallest of those that are equally good
    assert chosen[2] == 40


def test_a_sample_that_is_like_no_other_is_not_judged() -> None:
    given, true = labels(200)
    features = clouds(true)
    features[:, 0, -1] = 0
    others = np.arange(200) != 9
    features[9] = features[others].mean(0)
    features[9, 0, -1] = 1000  # to which all others are at right angles, and a little on the far side
    judgment = NearestNeighbours(k=5).select(replace(task(given), features=features), RUNS)
    assert np.isnan(judgment.score[9])
    assert not judgment.select[9]
    assert any(warning.startswith("1 samples are like no other") for warning in judgment.warnings)


def test_many_classes_leave_the_noise_rate_open() -> None:
    given, true = labels(100, 0)
    asked = replace(task(given), num_classes=200, features=clouds(true))
    judgment = NearestNeighbours().select(asked, RUNS)
    assert judgment.noise_rate is None
    assert judgment.select.all()
    assert "128 classes at most" in judgment.warnings[0]
    with pytest.raises(InputError, match=r"selector.rule must be vote: .*128 classes at most"):
        NearestNeighbours(rule="rank").select(asked, RUNS)


def test_k_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be in"):
        NearestNeighbours(k=0)
