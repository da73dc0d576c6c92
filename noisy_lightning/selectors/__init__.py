"""What decides, by training runs or by features, which labels to trust: INCV and its kin."""

from noisy_lightning.selectors.area_under_margin import AreaUnderMargin
from noisy_lightning.selectors.base import Fold, Judgment, Selector, Task, TrainingRuns
from noisy_lightning.selectors.clip_cleaner import CLIPCleaner
from noisy_lightning.selectors.confident_learning import ConfidentLearning
from noisy_lightning.selectors.incv import INCV
from noisy_lightning.selectors.linear_probe import LinearProbe
from noisy_lightning.selectors.loss_mixture import LossMixture
from noisy_lightning.selectors.nearest_neighbours import NearestNeighbours
from noisy_lightning.selectors.noisy_cross_validation import NoisyCrossValidation
from noisy_lightning.selectors.prototypes import Prototypes

__all__ = [
    "INCV",
    "AreaUnderMargin",
    "CLIPCleaner",
    "ConfidentLearning",
    "Fold",
    "Judgment",
    "LinearProbe",
    "LossMixture",
    "NearestNeighbours",
    "NoisyCrossValidation",
    "Prototypes",
    "Selector",
    "Task",
    "TrainingRuns",
]
