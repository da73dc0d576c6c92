"""CLIPCleaner's two classifiers and what they agree on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.two_gaussians import upper_group
from noisy_lightning.selectors import CLIPCleaner
from tests.selectors.clouds import clouds
from tests.selectors.toys import K, MadeUp, labels, task

RUNS = MadeUp()  # answers nothing: none may be asked for


def _texts(path: Path, features: NDArray[np.float32], true: NDArray[np.integer], per_class: int = 2) -> Path:
    """Write descriptions that lie where the images of their classes do."""
    random = np.random.default_rng(1)
    means = np.stack([features[true == label, 0].mean(0) for label in range(K)])
    text = means[:, None] + random.normal(0, 0.05, (K, per_class, means.shape[1]))
    np.save(path, 3 * text)
    return path


@pytest.mark.parametrize("with_text", [False, True])
def test_wrong_labels_are_found_and_corrected(with_text: bool, tmp_path: Path) -> None:
    given, true = labels(800)
    wrong, features = given != true, clouds(true)
    text = _texts(tmp_path / "text.npy", features, true) if with_text else None
    judgment = CLIPCleaner(text=text).select(replace(task(given), features=features), RUNS)
    assert not (judgment.select & wrong).any()
    assert judgment.select[~wrong].mean() > 0.6, "of each label, those of the higher group"
    assert judgment.score[wrong].min() > judgment.score[~wrong].max()
    assert np.array_equal(judgment.suggested, np.where(wrong, true, -1))
    assert judgment.noise_rate == pytest.approx(wrong.mean(), abs=0.04)


def test_a_label_has_to_pass_all_four_rules(tmp_path: Path) -> None:
    given, true = labels(400)
    features = clouds(true, 0.6)
    path = _texts(tmp_path / "text.npy", features, true, 3)
    judgment = CLIPCleaner(text=path).select(replace(task(given), features=features), RUNS)
    unit = features[:, 0] / np.linalg.norm(features[:, 0], axis=1, keepdims=True)
    zero_shot = np.zeros((len(unit), K))
    for label, texts in enumerate(np.load(path)):
        for one in texts:
            zero_shot[:, label] += np.exp(unit @ (one / np.linalg.norm(one)) / 0.07)
    zero_shot /= zero_shot.sum(1, keepdims=True)
    learned = LogisticRegression(class_weight="balanced", max_iter=10_000).fit(unit, given).predict_proba(unit)
    passed = np.ones(len(unit), bool)
    for p in (zero_shot, learned):
        own = p[np.arange(len(p)), given]
        passed &= own / p.max(1) >= 0.8
        for label in range(K):
            upper = upper_group(np.log(own[given == label]))
            assert upper is not None
            passed[given == label] &= upper >= 0.5
    assert np.array_equal(judgment.select, passed)
    assert 0 < passed.sum() < len(passed)


def test_a_class_of_which_nothing_passes_keeps_its_likeliest_labels(tmp_path: Path) -> None:
    given, true = labels(400, 0.2)
    features = clouds(true)
    path = _texts(tmp_path / "text.npy", features, true)
    text = np.load(path)
    text[3] *= -1  # what is said of the last class is true of all others
    np.save(path, text)
    judgment = CLIPCleaner(text=path).select(replace(task(given), features=features), RUNS)
    kept = judgment.select & (given == 3)
    others = min(int((judgment.select & (given == label)).sum()) for label in range(3))
    assert kept.sum() == max(others, 400 // K**2)
    likely = features[:, 0] @ text[3].T / np.linalg.norm(features[:, 0], axis=1, keepdims=True)
    assert likely[kept].mean() > likely[(given == 3) & ~kept].mean() + 0.1
    assert any("no label has passed" in warning for warning in judgment.warnings)


def test_what_is_not_judged_has_no_score_and_teaches_nothing() -> None:
    given, true = labels(400, 0.2)
    judged = np.arange(400) >= 100
    features = clouds(true)
    judgments = []
    for other in (1, 2):
        given[~judged] = (true[~judged] + other) % K
        judgments.append(CLIPCleaner().select(replace(task(given), judged=judged, features=features), RUNS))
    assert np.isnan(judgments[0].score[~judged]).all()
    assert not judgments[0].select[~judged].any()
    np.testing.assert_array_equal(judgments[0].score, judgments[1].score)


def test_classes_without_labels_are_no_obstacle() -> None:
    true = np.arange(300) % 2
    given = np.where(np.random.default_rng(0).random(300) < 0.2, 1 - true, true)
    judgment = CLIPCleaner().select(replace(task(given), num_classes=6, features=clouds(true)), RUNS)
    assert np.isfinite(judgment.score).all()
    assert set(judgment.suggested) == {-1, 0, 1}
    with pytest.raises(InputError, match="all labels are of one class"):
        CLIPCleaner().select(replace(task(np.zeros(30, int)), features=clouds(np.zeros(30, int))), RUNS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (np.ones((K - 1, 6)), "a row of embeddings for each of 4 classes"),
        (np.ones((K, 9)), "6 features of an image"),
        (np.full((K, 6), np.nan), "not finite"),
        (np.array(["a"] * K), "a row of embeddings"),
    ],
)
def test_texts_that_do_not_fit_are_refused(text: NDArray[np.generic], said: str, tmp_path: Path) -> None:
    given, true = labels(100)
    np.save(tmp_path / "text.npy", text)
    with pytest.raises(InputError, match=said):
        CLIPCleaner(text=tmp_path / "text.npy").select(replace(task(given), features=clouds(true)), RUNS)


def test_a_file_that_is_none_of_numpy_is_refused_in_a_line(tmp_path: Path) -> None:
    given, true = labels(100)
    (tmp_path / "text.npy").write_bytes(b"no array")
    for name in ("text.npy", "missing.npy"):
        with pytest.raises(InputError, match=name):
            CLIPCleaner(text=tmp_path / name).select(replace(task(given), features=clouds(true)), RUNS)


def test_features_that_are_not_finite_are_refused() -> None:
    given, true = labels(100)
    features = clouds(true)
    features[7] = np.nan
    with pytest.raises(InputError, match="image 7 are not finite"):
        CLIPCleaner().select(replace(task(given), features=features), RUNS)


@pytest.mark.parametrize("arguments", [{"probability": 1.0}, {"consistency": 1.1}, {"temperature": 0}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        CLIPCleaner(**arguments)  # type: ignore[arg-type]
