"""Every loss against its paper's formula, in value and gradient."""

import functools

import pytest
import torch

from noisy_lightning import losses
from tests.reference import losses as reference

K = 10
APL_LOG_ZERO = -9.210340371976182


def pair(loss, formula, /, **symbols):
    """A loss, and the formula with the paper's symbols filled in."""
    return loss, functools.partial(formula, **symbols)


CASES = [
    pair(losses.CrossEntropy(), reference.cross_entropy),
    pair(losses.ConfidencePenalty(), reference.confidence_penalty, loss=reference.cross_entropy, beta=0.1),
    pair(
        losses.ConfidencePenalty(losses.GeneralizedCrossEntropy(), beta=2),
        reference.confidence_penalty,
        loss=functools.partial(reference.generalized_cross_entropy, q=0.7),
        beta=2,
    ),
    pair(losses.MeanAbsoluteError(), reference.mean_absolute_error),
    pair(losses.ReverseCrossEntropy(), reference.reverse_cross_entropy, A=-4),
    pair(losses.ReverseCrossEntropy(APL_LOG_ZERO), reference.reverse_cross_entropy, A=APL_LOG_ZERO),
    pair(losses.SymmetricCrossEntropy(), reference.symmetric_cross_entropy, alpha=0.1, beta=1, A=-4),
    pair(
        losses.SymmetricCrossEntropy(6, 0.1, APL_LOG_ZERO, min_probability=0.01),
        reference.symmetric_cross_entropy,
        alpha=6,
        beta=0.1,
        A=APL_LOG_ZERO,
        low=0.01,
    ),
    pair(losses.GeneralizedCrossEntropy(), reference.generalized_cross_entropy, q=0.7),
    pair(losses.GeneralizedCrossEntropy(1), reference.generalized_cross_entropy, q=1),
    pair(losses.GeneralizedCrossEntropy(0.1, 0.01), reference.generalized_cross_entropy, q=0.1, low=0.01),
    pair(
        losses.TruncatedGeneralizedCrossEntropy(threshold=0.05),
        reference.truncated_generalized_cross_entropy,
        q=0.7,
        k=0.05,
    ),
    pair(losses.FocalLoss(), reference.focal_loss, gamma=2),
    pair(losses.FocalLoss(0), reference.cross_entropy),
    pair(losses.FocalLoss(0.5, alpha=0.25), reference.focal_loss, gamma=0.5, alpha=0.25),
    pair(losses.FocalLoss(0.5, detach_factor=True), reference.focal_loss, gamma=0.5, detach=True),
    pair(losses.NormalizedCrossEntropy(), reference.normalized_cross_entropy),
    pair(losses.NormalizedFocalLoss(), reference.normalized_focal_loss, gamma=0.5),
    pair(losses.NormalizedFocalLoss(2, detach_factor=True), reference.normalized_focal_loss, gamma=2, detach=True),
    pair(losses.NormalizedGeneralizedCrossEntropy(), reference.normalized_generalized_cross_entropy, q=0.1),
    pair(
        losses.NormalizedGeneralizedCrossEntropy(0.7, 0.01),
        reference.normalized_generalized_cross_entropy,
        q=0.7,
        low=0.01,
    ),
    pair(
        losses.ActivePassive(),
        reference.active_passive,
        active=reference.normalized_cross_entropy,
        passive=functools.partial(reference.reverse_cross_entropy, A=-4),
        alpha=1,
        beta=1,
    ),
    pair(
        losses.ActivePassive(losses.FocalLoss(0.5), losses.CrossEntropy(), alpha=2, beta=0.1),
        reference.active_passive,
        active=functools.partial(reference.focal_loss, gamma=0.5),
        passive=reference.cross_entropy,
        alpha=2,
        beta=0.1,
    ),
    pair(losses.ExponentialNormalized(), reference.exponential_normalized, loss=reference.cross_entropy, T=1),
    pair(
        losses.ExponentialNormalized(losses.FocalLoss(), temperature=3),
        reference.exponential_normalized,
        loss=functools.partial(reference.focal_loss, gamma=2),
        T=3,
    ),
    pair(losses.EntropyNormalizedCrossEntropy(), reference.entropy_normalized_cross_entropy, epsilon=1e-8),
    pair(losses.TaylorCrossEntropy(), reference.taylor_cross_entropy, n=2),
    pair(losses.TaylorCrossEntropy(6), reference.taylor_cross_entropy, n=6),
    pair(losses.Bootstrapping(), reference.bootstrapping_soft, beta=0.95),
    pair(losses.Bootstrapping(0.8, hard=True), reference.bootstrapping_hard, beta=0.8),
    pair(losses.PartiallyHuberised(), reference.partially_huberised, tau=2),
    pair(losses.PartiallyHuberised(10), reference.partially_huberised, tau=10),
    pair(losses.AsymmetricGCE(), reference.asymmetric_gce, a=0.6, q=0.6),
    pair(losses.AsymmetricGCE(1.8, 3), reference.asymmetric_gce, a=1.8, q=3),
    pair(losses.AUL(), reference.aul, a=5.5, q=3),
    pair(losses.AUL(3, 0.1), reference.aul, a=3, q=0.1),
    pair(losses.AEL(), reference.ael, a=2.5),
    pair(
        losses.ActiveNegativeCrossEntropy(5, 1, min_probability=0.01),
        reference.active_negative,
        loss=reference.cross_entropy,
        alpha=5,
        beta=1,
        p_min=0.01,
    ),
    pair(
        losses.ActiveNegativeFocalLoss(1, 5),
        reference.active_negative,
        loss=functools.partial(reference.focal_loss, gamma=0.5),
        alpha=1,
        beta=5,
        p_min=1e-7,
    ),
    pair(
        losses.ActiveNegativeFocalLoss(1, 5, gamma=2, min_probability=0.01, detach_factor=True),
        reference.active_negative,
        loss=functools.partial(reference.focal_loss, gamma=2, detach=True),
        alpha=1,
        beta=5,
        p_min=0.01,
    ),
    pair(losses.JensenShannon(), reference.jensen_shannon, pi=0.5),
    pair(losses.JensenShannon(0.9), reference.jensen_shannon, pi=0.9),
    pair(losses.LabelSmoothing(), reference.label_smoothing, r=0.1),
    pair(losses.GeneralizedLabelSmoothing(), reference.label_smoothing, r=-0.4),
    pair(losses.GeneralizedLabelSmoothing(-8), reference.label_smoothing, r=-8),
    pair(losses.EpsilonSoftmax(), reference.epsilon_softmax, alpha=0.01, beta=5, m=1e5),
    pair(losses.EpsilonSoftmax(1, 0, 10), reference.epsilon_softmax, alpha=1, beta=0, m=10),
    pair(
        losses.EpsilonSoftmax(1, 1, 100, gamma=0.1, min_probability=1e-3),
        reference.epsilon_softmax,
        alpha=1,
        beta=1,
        m=100,
        gamma=0.1,
        low=1e-3,
    ),
    pair(
        losses.EpsilonSoftmax(1, 1, 10, gamma=0.1, detach_factor=True),
        reference.epsilon_softmax,
        alpha=1,
        beta=1,
        m=10,
        gamma=0.1,
        detach=True,
    ),
    pair(losses.AsymmetricMSE(), reference.asymmetric_mse, a=30),
    pair(losses.AsymmetricMSE(1), reference.asymmetric_mse, a=1),
    pair(
        losses.JointAsymmetricLoss(),
        reference.joint_asymmetric,
        active=reference.normalized_cross_entropy,
        alpha=1,
        beta=1,
        a=30,
    ),
    pair(
        losses.JointAsymmetricLoss(losses.NormalizedFocalLoss(detach_factor=True), 5, 0.1, 20),
        reference.joint_asymmetric,
        active=functools.partial(reference.normalized_focal_loss, gamma=0.5, detach=True),
        alpha=5,
        beta=0.1,
        a=20,
    ),
    pair(losses.BiTemperedLogistic(), reference.bi_tempered, t1=0.8, t2=1.2),
    pair(losses.BiTemperedLogistic(0.5, 4), reference.bi_tempered, t1=0.5, t2=4),
    pair(losses.BiTemperedLogistic(1, 1.4), reference.bi_tempered, t1=1, t2=1.4),
    pair(losses.BiTemperedLogistic(0.7, 1, label_smoothing=0.1), reference.bi_tempered, t1=0.7, t2=1, s=0.1),
    pair(losses.BiTemperedLogistic(0, 0.9), reference.bi_tempered, t1=0, t2=0.9),
]


def test_every_loss_has_a_formula():
    assert {type(loss).__name__ for loss, _ in CASES} == set(losses.__all__) - {"RobustLoss"}


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize(("loss", "formula"), CASES, ids=[type(loss).__name__ for loss, _ in CASES])
def test_equals_the_formula(loss, formula, soft):
    soft = soft and not isinstance(loss, losses.TruncatedGeneralizedCrossEntropy)
    generator = torch.Generator().manual_seed(1)
    logits = (2 * torch.randn(6, K, generator=generator, dtype=torch.float64)).requires_grad_()
    label = torch.randint(K, (6,), generator=generator)
    label[0] = logits[0].argmax()
    target = torch.nn.functional.one_hot(label, K).double()
    if soft:
        # Zeros belong to a soft target too: they are where logarithms of it go wrong.
        noise = torch.rand(6, K, generator=generator, dtype=torch.float64)
        target = (target + noise * (noise > 0.5)).div(1 + (noise * (noise > 0.5)).sum(1, keepdim=True))

    value = loss(logits, target if soft else label)
    gradient = torch.autograd.grad(value.sum(), logits)[0]
    expected = torch.stack([formula(reference.softmax(z), e.tolist()) for z, e in zip(logits, target, strict=True)])
    expected_gradient = torch.autograd.grad(expected.sum(), logits)[0]
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)
