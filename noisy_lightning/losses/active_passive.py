"""Active passive loss: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.normalized import NormalizedCrossEntropy
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.losses.symmetric_cross_entropy import ReverseCrossEntropy


@final
class ActivePassive(RobustLoss):
    """Active passive loss α·active + β·passive: one raises p_y, the other lowers the other probabilities.

    Any two losses will do; soft targets are accepted where both accept them. The paper's tables weight its pairs
    with (α, β) = (1, 1) for CIFAR-10, (10, 0.1) with RCE and (10, 1) with MAE for CIFAR-100, (50, 0.1) and (50, 1)
    for WebVision, and its code has (1, 10) for MNIST. RCE is there `ReverseCrossEntropy(log_zero=-9.2103)`, and
    MAE is half of `MeanAbsoluteError`: halve its β.

    "APL-NCE-MAE" of Kathuria's report is `ActivePassive(ExponentialNormalized(CrossEntropy(), 1), MeanAbsoluteError(),
    alpha=1, beta=1/K)`: no such pair, but (1 + 2/K)(1 − p_y), which is 1.2 times its "NCE" for ten classes.

    Args:
        active: loss of the given class alone; NormalizedCrossEntropy() if not given.
        passive: loss of the other classes; ReverseCrossEntropy() if not given.
        alpha: weight of the active loss, in [0, inf).
        beta: weight of the passive loss, in [0, inf).

    Raises:
        ValueError: if a weight is out of range.
    """

    def __init__(
        self,
        active: RobustLoss | None = None,
        passive: RobustLoss | None = None,
        alpha: float = 1.0,
        beta: float = 1.0,
    ) -> None:
        super().__init__()
        check_range("alpha", alpha, "[0, inf)")
        check_range("beta", beta, "[0, inf)")
        self.active = active or NormalizedCrossEntropy()
        self.passive = passive or ReverseCrossEntropy()
        self.alpha = alpha
        self.beta = beta

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,), or (B, K) probabilities if both take them.

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        active: Tensor = self.active(logits, target)
        passive: Tensor = self.passive(logits, target)
        return self.alpha * active + self.beta * passive
