"""Normalised losses: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import expected, log_probabilities


@final
class NormalizedCrossEntropy(RobustLoss):
    """Normalised cross-entropy log p_y / Σ_k log p_k (eq. 4, for cross-entropy); in [0, 1].

    The cross-entropy of the given label over the sum of the cross-entropies of all labels: symmetric, hence
    robust to symmetric noise, and active: alone it underfits. Study 1 calls 1 − exp(−CE/T) by the same name, which
    is `ExponentialNormalized`; study 4 calls CE over the prediction's entropy so, which is
    `EntropyNormalizedCrossEntropy`.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        return expected(log_p, target) / log_p.sum(1)
