"""What the losses are to each other: some of it surprises, so it is held fast here."""

import math

import pytest
import torch

from noisy_lightning.losses import (
    AUL,
    ActiveNegativeCrossEntropy,
    ActivePassive,
    AsymmetricGCE,
    CrossEntropy,
    ExponentialNormalized,
    FocalLoss,
    GeneralizedCrossEntropy,
    JensenShannon,
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


def test_truncation_stops_the_gradient_of_improbable_labels(logits, label, p_y):
    logits.requires_grad_()
    gradient = torch.autograd.grad(TruncatedGeneralizedCrossEntropy()(logits, label).sum(), logits)[0]
    torch.testing.assert_close(gradient.any(1), p_y > 0.5)


def test_truncation_refuses_soft_targets_with_a_reason(logits):
    with pytest.raises(ValueError, match=r"soft targets \(B, K\) are refused.* the truncation keeps or drops"):
        TruncatedGeneralizedCrossEntropy()(logits, logits.softmax(1))
