"""What goes with any loss and many methods: images mixed in pairs, and gradients changed before the optimizer steps.

Label smoothing and the confidence penalty are losses: `LabelSmoothing` and `ConfidencePenalty`.
"""

from noisy_lightning.regularizers.base import GradientRule, Mixing
from noisy_lightning.regularizers.critical_gradients import CDR
from noisy_lightning.regularizers.cut_mix import CutMix
from noisy_lightning.regularizers.mix_up import MixUp
from noisy_lightning.regularizers.sharpness import ASAM, SAM

__all__ = ["ASAM", "CDR", "SAM", "CutMix", "GradientRule", "MixUp", "Mixing"]
