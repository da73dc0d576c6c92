"""What training does to images at random: `from noisy_lightning import augmentation; augmentation.RandAugment()`."""

from noisy_lightning.data.loading.recipes.aug_mix import AugMix
from noisy_lightning.data.loading.recipes.base import CropFlip, NoAugmentation, Recipe
from noisy_lightning.data.loading.recipes.color_jitter import ColorJitter
from noisy_lightning.data.loading.recipes.crops import Cutout, RandomResizedCrop
from noisy_lightning.data.loading.recipes.per_image import PerImage
from noisy_lightning.data.loading.recipes.policies import AutoAugment, FixMatchAugment, RandAugment, TrivialAugment

__all__ = [
    "AugMix",
    "AutoAugment",
    "ColorJitter",
    "CropFlip",
    "Cutout",
    "FixMatchAugment",
    "NoAugmentation",
    "PerImage",
    "RandAugment",
    "RandomResizedCrop",
    "Recipe",
    "TrivialAugment",
]
