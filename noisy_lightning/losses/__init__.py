"""What one sample costs: one file per paper."""

from noisy_lightning.losses.active_negative import ActiveNegativeCrossEntropy, ActiveNegativeFocalLoss
from noisy_lightning.losses.active_passive import ActivePassive
from noisy_lightning.losses.asymmetric import AEL, AUL, AsymmetricGCE
from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.bi_tempered import BiTemperedLogistic
from noisy_lightning.losses.bootstrapping import Bootstrapping
from noisy_lightning.losses.confidence_penalty import ConfidencePenalty
from noisy_lightning.losses.cross_entropy import CrossEntropy
from noisy_lightning.losses.entropy_normalized import EntropyNormalizedCrossEntropy
from noisy_lightning.losses.epsilon_softmax import EpsilonSoftmax
from noisy_lightning.losses.exponential_normalized import ExponentialNormalized
from noisy_lightning.losses.focal import FocalLoss
from noisy_lightning.losses.generalized_cross_entropy import GeneralizedCrossEntropy, TruncatedGeneralizedCrossEntropy
from noisy_lightning.losses.generalized_label_smoothing import GeneralizedLabelSmoothing
from noisy_lightning.losses.jensen_shannon import JensenShannon
from noisy_lightning.losses.joint_asymmetric import AsymmetricMSE, JointAsymmetricLoss
from noisy_lightning.losses.label_smoothing import LabelSmoothing
from noisy_lightning.losses.mean_absolute_error import MeanAbsoluteError
from noisy_lightning.losses.normalized import (
    NormalizedCrossEntropy,
    NormalizedFocalLoss,
    NormalizedGeneralizedCrossEntropy,
)
from noisy_lightning.losses.partially_huberised import PartiallyHuberised
from noisy_lightning.losses.symmetric_cross_entropy import ReverseCrossEntropy, SymmetricCrossEntropy
from noisy_lightning.losses.taylor_cross_entropy import TaylorCrossEntropy

__all__ = [
    "AEL",
    "AUL",
    "ActiveNegativeCrossEntropy",
    "ActiveNegativeFocalLoss",
    "ActivePassive",
    "AsymmetricGCE",
    "AsymmetricMSE",
    "BiTemperedLogistic",
    "Bootstrapping",
    "ConfidencePenalty",
    "CrossEntropy",
    "EntropyNormalizedCrossEntropy",
    "EpsilonSoftmax",
    "ExponentialNormalized",
    "FocalLoss",
    "GeneralizedCrossEntropy",
    "GeneralizedLabelSmoothing",
    "JensenShannon",
    "JointAsymmetricLoss",
    "LabelSmoothing",
    "MeanAbsoluteError",
    "NormalizedCrossEntropy",
    "NormalizedFocalLoss",
    "NormalizedGeneralizedCrossEntropy",
    "PartiallyHuberised",
    "ReverseCrossEntropy",
    "RobustLoss",
    "SymmetricCrossEntropy",
    "TaylorCrossEntropy",
    "TruncatedGeneralizedCrossEntropy",
]
