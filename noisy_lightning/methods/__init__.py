"""How a network is trained: one file per method."""

from noisy_lightning.methods.base import Method, Problem, Run
from noisy_lightning.methods.dynamic_weights import DynamicWeights
from noisy_lightning.methods.standard import Standard

__all__ = ["DynamicWeights", "Method", "Problem", "Run", "Standard"]
