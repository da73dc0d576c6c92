"""What the losses are to each other: some of it surprises, so it is held fast here."""

import math

import pytest
import torch

from noisy_lightning.losses import (
    AUL,
    ActiveNegativeCrossEntropy,
    ActivePassive,
    AsymmetricGCE,
    AsymmetricMSE,
    CrossEntropy,
    EpsilonSoftmax,
    ExponentialNormalized,
    FocalLoss,
    GeneralizedCrossEntropy,
    GeneralizedLabelSmoothing,
    JensenShannon,
    JointAsymmetricLoss,
    LabelSmoothing,
    MeanAbsoluteError,
    NormalizedCrossEntropy,
    NormalizedFocalLoss,
    NormalizedGeneralizedCrossEntropy,
    PartiallyHuberised,
    ReverseCrossEntropy,
    TaylorCrossEntropy,
    TruncatedGeneralizedCrossEntropy,
)

K = 10


@pytest.fixture
def logits():
    return 3 * torch.randn(32, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture
def label():
    return torch.randint(K, (32,), generator=torch.Generator().manual_seed(3))


@pytest.fixture
def p_y(logits, label):
    return logits.softmax(1)[torch.arange(32), label]


@pytest.mark.parametrize(
    ("loss", "multiple"),
    [
        (MeanAbsoluteError(), 2),
        (ReverseCrossEntropy(), 4),
        (ReverseCrossEntropy(math.log(1e-4)), 9.210340371976182),
        (ExponentialNormalized(CrossEntropy(), temperature=1), 1),  # study 1's "NCE"
        (GeneralizedCrossEntropy(1), 1),
        (TaylorCrossEntropy(1), 1),
        (PartiallyHuberised(1), 1),
        (AsymmetricGCE(3, 1), 1),
        (AUL(3, 1), 1),
        (NormalizedGeneralizedCrossEntropy(1), 1 / (K - 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_is_a_multiple_of_the_probability_of_the_other_classes(logits, label, p_y, loss, multiple):
    torch.testing.assert_close(loss(logits, label), multiple * (1 - p_y))


def test_active_passive_of_study_1_is_its_normalized_cross_entropy_again(logits, label):
    normalized = ExponentialNormalized(CrossEntropy(), temperature=1)
    active_passive = ActivePassive(normalized, MeanAbsoluteError(), alpha=1, beta=1 / K)
    torch.testing.assert_close(active_passive(logits, label), 1.2 * normalized(logits, label))


@pytest.mark.parametrize(
    "loss",
    [
        NormalizedCrossEntropy(),
        NormalizedFocalLoss(),
        NormalizedGeneralizedCrossEntropy(),
        MeanAbsoluteError(),
        ReverseCrossEntropy(),
        ActivePassive(),
        ActiveNegativeCrossEntropy(),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_a_symmetric_loss_sums_to_a_constant_over_the_labels(logits, loss):
    totals = sum(loss(logits, torch.full((32,), k)) for k in range(K))
    torch.testing.assert_close(totals, totals[0].expand(32))


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), FocalLoss(), ExponentialNormalized(temperature=2), GeneralizedCrossEntropy(0.5)],
    ids=lambda loss: type(loss).__name__,
)
def test_other_losses_do_not(logits, loss):
    totals = sum(loss(logits, torch.full((32,), k)) for k in range(K))
    assert totals.std() > 0.01


def test_in_the_limit_losses_become_cross_entropy_or_one_minus_the_probability(logits, label, p_y):
    cross_entropy = -p_y.log()
    torch.testing.assert_close(GeneralizedCrossEntropy(1e-9)(logits, label), cross_entropy, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(JensenShannon(1e-9)(logits, label), cross_entropy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(JensenShannon(1 - 1e-12)(logits, label), 1 - p_y, rtol=0.05, atol=0)
    torch.testing.assert_close(PartiallyHuberised(1e9)(logits, label), cross_entropy)


@pytest.mark.parametrize(
    "loss",
    [LabelSmoothing(0), GeneralizedLabelSmoothing(0), EpsilonSoftmax(1, 0, m=0), EpsilonSoftmax(1, 0, m=1e-9)],
    ids=lambda loss: type(loss).__name__,
)
def test_without_smoothing_or_epsilon_there_is_cross_entropy_left(logits, label, p_y, loss):
    torch.testing.assert_close(loss(logits, label), -p_y.log(), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("classes", [2, 100])
def test_label_smoothing_is_that_of_pytorch(classes):
    logits = torch.randn(8, classes, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    label = torch.arange(8) % classes
    expected = torch.nn.functional.cross_entropy(logits, label, reduction="none", label_smoothing=0.3)
    torch.testing.assert_close(LabelSmoothing(0.3)(logits, label), expected)
    torch.testing.assert_close(GeneralizedLabelSmoothing(0.3)(logits, label), expected)


def test_negative_label_smoothing_has_no_lower_bound():
    logits = torch.tensor([[10.0, 0.0], [100.0, 0.0], [1000.0, 0.0]])
    values = GeneralizedLabelSmoothing(-1)(logits, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(values, torch.tensor([-5.0, -50.0, -500.0]), rtol=1e-4, atol=0)


def test_epsilon_softmax_is_epsilon_away_from_a_one_hot_vector(logits):
    largest = logits.argmax(1)
    for m in (10.0, 1e3):
        q_of_largest = (-EpsilonSoftmax(1, 0, m)(logits, largest)).exp()
        assert (2 * (1 - q_of_largest) <= 2 / (m + 1)).all()


def test_epsilon_softmax_stops_the_gradient_of_labels_below_its_floor(logits, label, p_y):
    logits.requires_grad_()
    loss = EpsilonSoftmax(1, 0, m=1e5)
    gradient = torch.autograd.grad(loss(logits, label).sum(), logits)[0]
    learns = (p_y > (1e5 + 1) * 1e-8) | (logits.argmax(1) == label)
    assert 0 < learns.sum() < len(learns)
    torch.testing.assert_close(gradient.any(1), learns)


def test_joint_asymmetric_loss_is_an_active_passive_one(logits, label):
    pair = ActivePassive(NormalizedCrossEntropy(), AsymmetricMSE(20), alpha=5, beta=0.1)
    torch.testing.assert_close(JointAsymmetricLoss(alpha=5, beta=0.1, a=20)(logits, label), pair(logits, label))


def test_the_asymmetric_error_with_one_is_the_mean_squared_error(logits, label):
    target = torch.nn.functional.one_hot(label, K).double()
    expected = (logits.softmax(1) - target).square().mean(1)
    torch.testing.assert_close(AsymmetricMSE(1)(logits, label), expected)
    assert (AsymmetricMSE(30)(logits, label) <= (30**2 + 1) / K).all()


def test_truncation_stops_the_gradient_of_improbable_labels(logits, label, p_y):
    logits.requires_grad_()
    gradient = torch.autograd.grad(TruncatedGeneralizedCrossEntropy()(logits, label).sum(), logits)[0]
    torch.testing.assert_close(gradient.any(1), p_y > 0.5)


def test_truncation_refuses_soft_targets_with_a_reason(logits):
    with pytest.raises(ValueError, match=r"soft targets \(B, K\) are refused.* the truncation keeps or drops"):
        TruncatedGeneralizedCrossEntropy()(logits, logits.softmax(1))
