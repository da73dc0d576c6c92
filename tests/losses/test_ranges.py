import math

import pytest

from noisy_lightning import losses


@pytest.mark.parametrize(
    ("loss", "name", "interval", "outside"),
    [
        ("ReverseCrossEntropy", "log_zero", "(-inf, 0)", [0.0, 1.0, -math.inf]),
        ("SymmetricCrossEntropy", "alpha", "[0, inf)", [-1.0, math.inf]),
        ("SymmetricCrossEntropy", "beta", "[0, inf)", [-1.0]),
        ("ConfidencePenalty", "beta", "[0, inf)", [-1.0]),
        ("SymmetricCrossEntropy", "log_zero", "(-inf, 0)", [0.0]),
        ("SymmetricCrossEntropy", "min_probability", "[0, 1)", [-0.1, 1.0]),
        ("GeneralizedCrossEntropy", "q", "(0, 1]", [0.0, 1.5]),
        ("GeneralizedCrossEntropy", "min_probability", "[0, 1)", [1.0]),
        ("TruncatedGeneralizedCrossEntropy", "q", "(0, 1]", [0.0]),
        ("TruncatedGeneralizedCrossEntropy", "threshold", "[0, 1)", [1.0]),
        ("FocalLoss", "gamma", "[0, inf)", [-0.5]),
        ("FocalLoss", "alpha", "(0, inf)", [0.0]),
        ("NormalizedFocalLoss", "gamma", "[0, inf)", [-0.5]),
        ("NormalizedGeneralizedCrossEntropy", "q", "(0, 1]", [0.0, 1.1]),
        ("NormalizedGeneralizedCrossEntropy", "min_probability", "[0, 1)", [1.0]),
        ("ActivePassive", "alpha", "[0, inf)", [-1.0]),
        ("ActivePassive", "beta", "[0, inf)", [-1.0]),
        ("ExponentialNormalized", "temperature", "(0, inf)", [0.0]),
        ("EntropyNormalizedCrossEntropy", "offset", "(0, 1)", [0.0]),
        ("TaylorCrossEntropy", "order", "[1, inf)", [0]),
        ("Bootstrapping", "beta", "[0, 1]", [-0.1, 1.1]),
        ("PartiallyHuberised", "tau", "[1, inf)", [0.5]),
        ("AsymmetricGCE", "a", "(0, inf)", [0.0]),
        ("AsymmetricGCE", "q", "(0, inf)", [0.0]),
        ("AUL", "a", "(1, inf)", [1.0]),
        ("AUL", "q", "(0, inf)", [0.0]),
        ("AEL", "a", "(0, inf)", [0.0]),
        ("ActiveNegativeCrossEntropy", "alpha", "[0, inf)", [-1.0]),
        ("ActiveNegativeCrossEntropy", "beta", "[0, inf)", [-1.0]),
        ("ActiveNegativeCrossEntropy", "min_probability", "(0, 1)", [0.0]),
        ("ActiveNegativeFocalLoss", "alpha", "[0, inf)", [-1.0]),
        ("ActiveNegativeFocalLoss", "beta", "[0, inf)", [-1.0]),
        ("ActiveNegativeFocalLoss", "gamma", "[0, inf)", [-1.0]),
        ("ActiveNegativeFocalLoss", "min_probability", "(0, 1)", [1.0]),
        ("JensenShannon", "weight", "(0, 1)", [0.0, 1.0]),
        ("LabelSmoothing", "smooth_rate", "[0, 1)", [-0.1, 1.0]),
        ("GeneralizedLabelSmoothing", "smooth_rate", "(-inf, 1)", [1.0, -math.inf]),
        ("EpsilonSoftmax", "alpha", "[0, inf)", [-1.0]),
        ("EpsilonSoftmax", "beta", "[0, inf)", [-1.0]),
        ("EpsilonSoftmax", "m", "[0, inf)", [-1.0, math.inf]),
        ("EpsilonSoftmax", "gamma", "[0, inf)", [-0.1]),
        ("EpsilonSoftmax", "min_probability", "[0, 1)", [1.0]),
        ("AsymmetricMSE", "a", "[1, inf)", [0.9]),
        ("JointAsymmetricLoss", "alpha", "[0, inf)", [-1.0]),
        ("JointAsymmetricLoss", "beta", "[0, inf)", [-1.0]),
        ("JointAsymmetricLoss", "a", "[1, inf)", [0.9]),
        ("BiTemperedLogistic", "t1", "[0, 1]", [-0.1, 1.1]),
        ("BiTemperedLogistic", "t2", "(0, inf)", [0.0, math.inf]),
        ("BiTemperedLogistic", "label_smoothing", "[0, 1)", [-0.1, 1.0]),
    ],
)
def test_a_value_out_of_range_is_named_with_its_range(loss, name, interval, outside):
    for value in [*outside, math.nan]:
        with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole message is compared
            getattr(losses, loss)(**{name: value})
        assert str(error.value) == f"{name} must be in {interval}, got {value}"
