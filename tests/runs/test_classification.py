"""What answers are worth, against scikit-learn and torchmetrics."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix as reference_confusion
from sklearn.metrics import precision_recall_fscore_support
from torchmetrics.functional.classification import multiclass_calibration_error

from noisy_lightning.runs.classification import calibration, class_scores, confusion_matrix

K, M = 6, 500


def _labels() -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions, class 4 without images and class 5 never predicted."""
    random = np.random.default_rng(0)
    labels = random.choice([0, 1, 2, 3, 5], M)
    return labels, np.where(random.random(M) < 0.6, labels, random.integers(0, 5, M)) % 5


def test_scores_of_classes_are_those_of_scikit_learn() -> None:
    labels, predicted = _labels()
    confusion = confusion_matrix(labels, predicted, K)
    np.testing.assert_array_equal(confusion, reference_confusion(labels, predicted, labels=range(K)))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(K), zero_division=np.nan)
    found = class_scores(confusion)
    for one, other in zip((found.precision, found.recall, found.f1, found.count), expected, strict=True):
        np.testing.assert_allclose(one, other)
    np.testing.assert_array_equal(found.predicted, np.bincount(predicted, minlength=K))
    assert np.isnan(found.recall[4])
    assert np.isnan(found.precision[5])


def test_calibration_is_that_of_torchmetrics() -> None:
    random = torch.Generator().manual_seed(0)
    probabilities = (3 * torch.randn(M, K, generator=random)).softmax(1)
    labels = torch.randint(K, (M,), generator=random)
    confidence, predicted = probabilities.max(1)
    found = calibration(confidence.numpy(), (predicted == labels).numpy())
    assert len(found.count) == 15
    assert found.error == pytest.approx(multiclass_calibration_error(probabilities, labels, K, n_bins=15).item())
    assert found.count.sum() == M


def test_a_bin_holds_its_upper_edge() -> None:
    found = calibration(np.array([0.0, 0.5, 0.51, 1.0], np.float32), np.array([False, True, True, False]), bins=2)
    assert found.count.tolist() == [2, 2]
    assert found.edges.tolist() == [0, 0.5, 1]
    np.testing.assert_allclose(found.confidence, [0.25, 0.755], rtol=1e-6)
    assert found.accuracy.tolist() == [0.5, 0.5]
    assert found.error == pytest.approx((0.25 + 0.255) / 2, rel=1e-5)


def test_what_is_no_number_shows() -> None:
    assert np.isnan(calibration(np.array([0.5, np.nan], np.float32), np.array([True, True])).error)
