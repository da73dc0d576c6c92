import numpy as np
import pytest

from noisy_lightning.data import Asymmetric, LabelNoise, PairFlip, Symmetric
from noisy_lightning.selectors.theory import confusion_of, measured, priors_of, quality, theory_of
from tests.reference.incv import agreement_of

UNIFORM = np.full(10, 0.1)


@pytest.mark.parametrize(
    ("noise", "accuracy", "precision", "recall"),
    [
        (Symmetric(0.2), 0.6444, 0.9931, 0.8),
        (Symmetric(0.5), 0.2778, 0.9000, 0.5),
        (Symmetric(0.8), 0.1111, 0.3600, 0.2),
        (PairFlip(0.4), 0.5200, 0.6923, 0.6),
    ],
)
def test_theory_gives_the_numbers_of_the_paper(
    noise: LabelNoise, accuracy: float, precision: float, recall: float
) -> None:
    transition = noise.transition_matrix(10)
    assert transition is not None
    assert theory_of(transition.numpy(), UNIFORM) == pytest.approx((accuracy, precision, recall), abs=1e-4)
    assert theory_of(transition.numpy(), UNIFORM).accuracy == pytest.approx(agreement_of(transition.tolist(), UNIFORM))


def test_predictions_with_the_mistakes_of_the_labels_measure_what_the_theory_says() -> None:
    random = np.random.default_rng(0)
    transition = Asymmetric(0.4, "cifar10").transition_matrix(10)
    assert transition is not None
    true = random.choice(10, 200_000, p=np.linspace(1, 3, 10) / 20)
    cumulated = transition.numpy().cumsum(1)
    given, predicted = ((random.random((len(true), 1)) > cumulated[true]).sum(1) for _ in range(2))
    expected = theory_of(transition.numpy(), priors_of(true, 10))
    assert measured(predicted, given, true) == pytest.approx(expected, abs=0.005)
    np.testing.assert_allclose(confusion_of(predicted, true, 10), transition.numpy(), atol=0.01)


def test_other_mistakes_than_those_of_the_labels_have_a_theory_too() -> None:
    perfect = np.eye(10)
    noise = Symmetric(0.3).transition_matrix(10)
    assert noise is not None
    assert theory_of(noise.numpy(), UNIFORM, perfect) == pytest.approx((0.7, 1.0, 1.0))


def test_what_is_unknown_or_was_not_held_out_does_not_count() -> None:
    prediction = np.array([0, 0, 1, 1, -1, 0])
    given = np.array([0, 0, 1, 0, 0, 0])
    true = np.array([0, 1, 1, 0, 0, -1])
    assert measured(prediction, given, true) == pytest.approx((3 / 4, 2 / 3, 2 / 3))
    np.testing.assert_array_equal(confusion_of(prediction, true, 3), [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 0]])
    np.testing.assert_allclose(priors_of(true, 3), [0.6, 0.4, 0])


def test_quality_leaves_out_unknown_labels_and_counts_foreign_images_as_wrong() -> None:
    given, true = np.array([0, 1, 2, 0, 1]), np.array([0, 1, 1, -1, -2])
    assert quality(np.array([1, 0, 1, 1, 0], bool), given, true) == (1 / 2, 1 / 2)
    assert quality(np.array([1, 1, 0, 1, 1], bool), given, true) == (2 / 3, 1)
    precision, recall = quality(np.zeros(5, bool), given, true)
    assert np.isnan(precision)
    assert recall == 0
