import builtins
from typing import Any

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.selectors import ConfidentLearning, Task
from tests.selectors.toys import K, MadeUp, labels, likely, task


def test_issues_are_found_and_ranked() -> None:
    given, true = labels(400, 0.2)
    runs = MadeUp(lambda fold: likely(true, np.random.default_rng(0)))
    judged = np.arange(400) != 3
    judgment = ConfidentLearning(folds=4).select(Task(given, judged, K, 0), runs)
    assert len(runs.asked) == 4
    wrong = (given != true) & judged
    assert (judgment.select == (judged & ~wrong)).mean() > 0.95
    assert judgment.score[wrong].min() > np.nanmedian(judgment.score[~wrong])
    assert np.isnan(judgment.score[3])
    assert not judgment.select[3]
    assert judgment.noise_rate == pytest.approx(wrong.sum() / 399, abs=0.03)
    assert np.array_equal(judgment.suggested[wrong], true[wrong])


def test_the_noise_rate_is_the_share_of_issues_among_what_is_judged() -> None:
    given, true = labels(200, 0.2)
    judged = np.arange(200) < 100
    runs = MadeUp(lambda fold: likely(true, np.random.default_rng(0)))
    judgment = ConfidentLearning(filter_by="predicted_neq_given").select(Task(given, judged, K, 0), runs)
    assert judgment.noise_rate == pytest.approx((given != true)[judged].mean())


def test_other_rules_and_scores_of_cleanlab() -> None:
    given, true = labels(200, 0.2)
    runs = MadeUp(lambda fold: likely(true, np.random.default_rng(1)))
    judgment = ConfidentLearning(filter_by="prune_by_class", score="normalized_margin").select(task(given), runs)
    assert (judgment.select == (given == true)).mean() > 0.95


def test_by_default_an_issue_is_a_label_that_is_not_predicted() -> None:
    given, true = labels(200, 0.2)
    runs = MadeUp(lambda fold: likely(true, np.random.default_rng(1)))
    judgment = ConfidentLearning().select(task(given), runs)
    assert np.array_equal(judgment.select, given == true)


def test_a_class_without_labels_is_no_obstacle() -> None:
    given = np.arange(60) % 3
    judgment = ConfidentLearning(folds=2).select(
        task(given), MadeUp(lambda fold: likely(given, np.random.default_rng(0)))
    )
    assert judgment.select.all()
    assert any("no sample of class 3" in warning for warning in judgment.warnings)


def test_without_cleanlab_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("cleanlab"):
            raise ImportError("No module named 'cleanlab'")
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'noisy_lightning\[clean\]'"):
        ConfidentLearning()


@pytest.mark.parametrize("arguments", [{"folds": 1}, {"epochs": 0}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        ConfidentLearning(**arguments)  # type: ignore[arg-type]
