"""How a network is trained: one file per method."""

from noisy_lightning.methods.base import Method, Problem, Run
from noisy_lightning.methods.standard import Standard

__all__ = ["Method", "Problem", "Run", "Standard"]
