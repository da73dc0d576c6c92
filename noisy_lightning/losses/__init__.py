"""What one sample costs: one file per paper."""

from noisy_lightning.losses.active_passive import ActivePassive
from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.cross_entropy import CrossEntropy
from noisy_lightning.losses.generalized_cross_entropy import GeneralizedCrossEntropy
from noisy_lightning.losses.mean_absolute_error import MeanAbsoluteError
from noisy_lightning.losses.normalized_cross_entropy import NormalizedCrossEntropy
from noisy_lightning.losses.symmetric_cross_entropy import ReverseCrossEntropy, SymmetricCrossEntropy

__all__ = [
    "ActivePassive",
    "CrossEntropy",
    "GeneralizedCrossEntropy",
    "MeanAbsoluteError",
    "NormalizedCrossEntropy",
    "ReverseCrossEntropy",
    "RobustLoss",
    "SymmetricCrossEntropy",
]
