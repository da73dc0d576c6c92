"""What decides by training runs which labels to trust: INCV and its kin."""

from noisy_lightning.selectors.area_under_margin import AreaUnderMargin
from noisy_lightning.selectors.base import Fold, Judgment, Selector, Task, TrainingRuns
from noisy_lightning.selectors.confident_learning import ConfidentLearning
from noisy_lightning.selectors.incv import INCV
from noisy_lightning.selectors.loss_mixture import LossMixture
from noisy_lightning.selectors.noisy_cross_validation import NoisyCrossValidation

__all__ = [
    "INCV",
    "AreaUnderMargin",
    "ConfidentLearning",
    "Fold",
    "Judgment",
    "LossMixture",
    "NoisyCrossValidation",
    "Selector",
    "Task",
    "TrainingRuns",
]
