"""What one sample costs: one file per paper."""

from noisy_lightning.losses.base import RobustLoss

__all__ = ["RobustLoss"]
