"""The measures of an epoch equal counts by hand, and are absent where the truth is unknown."""

import numpy as np
import pytest
from sklearn.metrics import auc, roc_curve

from noisy_lightning.runs.measures import EpochRecord, class_accuracy, measure, noise_auroc, wrong_share

# given, true, prediction: two clean samples, three noisy ones, one of unknown truth, one never seen
LABELS = np.array([0, 1, 1, 2, 0, 1, 2])
TRUE_LABELS = np.array([0, 1, 0, 1, 2, -1, 2])
SPLIT = ["train"] * 6 + ["val"]
PREDICTION = np.array([0, 2, 1, 1, 1, 1, -1])
LOSS = np.array([0.5, 1.5, 3.0, 1.0, 2.0, 4.0, np.nan], np.float32)
CONFIDENCE = np.array([0.6, 0.2, 0.5, 0.25, 0.125, 0.75, np.nan], np.float32)
KEPT = np.array([1, 0, 0.5, 1, 0, 1, np.nan], np.float32)
RECORD = EpochRecord(LOSS, CONFIDENCE, PREDICTION, KEPT)


def test_measures_equal_counts_by_hand():
    assert measure(RECORD, LABELS, TRUE_LABELS) == pytest.approx(
        {
            "loss": 12 / 6,
            "loss_clean": 2 / 2,
            "loss_noisy": 6 / 3,
            "auroc": 5 / 6,
            "memorised": 1 / 3,
            "corrected": 1 / 3,
            "neither": 1 / 3,
            "acc": 3 / 6,
            "acc_true": 2 / 5,
            "kept": 3.5 / 6,
            "label_recall": 1 / 2,
            "label_precision": 1 / 2.5,
        }
    )


def test_an_image_of_no_class_has_a_wrong_label_and_no_right_one():
    """So that it counts among the noisy, and not for the accuracy on true labels."""
    true = TRUE_LABELS.copy()
    seen = np.flatnonzero((PREDICTION >= 0) & (true >= 0))
    true[seen[0]] = -2
    measures = measure(RECORD, LABELS, true)
    known = seen[1:]
    assert measures["acc_true"] == pytest.approx((PREDICTION[known] == true[known]).mean())
    noisy = np.append(known[true[known] != LABELS[known]], seen[0])
    assert measures["loss_noisy"] == pytest.approx(LOSS[noisy].mean())


def test_without_truth_only_what_can_be_known():
    assert measure(RECORD, LABELS, np.full(7, -1)).keys() == {"loss", "acc", "kept"}
    assert measure(RECORD._replace(kept=None), LABELS, np.full(7, -1)).keys() == {"loss", "acc"}


def test_without_noisy_or_clean_samples_their_measures_are_absent():
    clean = measure(RECORD, LABELS, LABELS).keys()
    assert clean == {"loss", "loss_clean", "acc", "acc_true", "kept", "label_recall", "label_precision"}
    noisy = measure(RECORD, LABELS, (LABELS + 1) % 3).keys()
    assert {"loss_clean", "auroc", "label_recall"}.isdisjoint(noisy)
    assert {"loss_noisy", "memorised"} <= noisy


def test_before_any_sample_was_seen_nothing_is_known():
    unseen = EpochRecord(np.full(7, np.nan, np.float32), np.full(7, np.nan, np.float32), np.full(7, -1))
    assert measure(unseen, LABELS, TRUE_LABELS) == {}


def test_a_selection_of_nothing_has_no_precision():
    measures = measure(RECORD._replace(kept=np.zeros(7, np.float32)), LABELS, TRUE_LABELS)
    assert measures["kept"] == 0
    assert "label_precision" not in measures


@pytest.mark.parametrize("bad", [np.inf, np.nan, -np.inf])
def test_a_non_finite_loss_breaks_nothing(bad):
    loss = LOSS.copy()
    loss[[0, 2]] = bad
    measures = measure(RECORD._replace(loss=loss), LABELS, TRUE_LABELS)
    assert np.isfinite(list(measures.values())).all()
    assert measures["loss"] == pytest.approx((1.5 + 1 + 2 + 4) / 4)
    assert measures["loss_noisy"] == pytest.approx(3 / 2)


@pytest.mark.parametrize("seed", range(5))
def test_auroc_equals_counting_pairs(seed):
    rng = np.random.default_rng(seed)
    loss = rng.integers(0, 8, 60).astype(np.float32)  # with ties
    loss[:3], loss[3:5] = np.inf, -np.inf
    is_noisy = rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in loss[is_noisy] for b in loss[~is_noisy]]
    assert noise_auroc(loss, is_noisy) == pytest.approx(np.mean(pairs))
    false_positive, true_positive, _ = roc_curve(
        is_noisy, np.nan_to_num(loss).astype(np.float64), drop_intermediate=False
    )
    assert noise_auroc(loss, is_noisy) == auc(false_positive, true_positive)  # to the last bit


def test_accuracy_of_a_class_is_a_share_of_its_samples_or_nan_without_any():
    np.testing.assert_allclose(class_accuracy(PREDICTION, LABELS, 4), [1 / 2, 2 / 3, 0, np.nan])


def test_what_was_not_seen_counts_for_no_class():
    prediction, reference = np.array([0, -1, 1, 1]), np.array([0, 0, 1, -1])
    np.testing.assert_array_equal(class_accuracy(prediction, reference, 2), [1, 1])


def test_a_share_of_wrong_labels_says_of_how_many() -> None:
    assert wrong_share(None, None) == "an unknown share of labels wrong"
    assert wrong_share(0.3876, None) == "38.76 % of labels wrong"
    assert wrong_share(0.5, 1010) == "50.00 % wrong of the 1,010 labels whose true one is known"
