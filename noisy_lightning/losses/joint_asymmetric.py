"""Joint asymmetric loss: Wang et al., "Joint Asymmetric Loss for Learning with Noisy Labels", ICCV 2025."""

from typing import final

import torch.nn.functional as F
from torch import Tensor

from noisy_lightning.losses.active_passive import ActivePassive
from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import at_label, complement, is_hard, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class AsymmetricMSE(RobustLoss):
    """Asymmetric mean squared error (1/K) Σ_k (p_k − a t_k)², the passive half of the joint asymmetric loss.

    For a > 1 it pulls p_y to a value that no probability reaches, and so hardly less at 1 than at 0. Bounded, by
    (a² + 1)/K; the paper proves it asymmetric, hence robust while the true label is the most frequent one, for large a.
    The mean is over classes, too, as in the authors' code.

    Args:
        a: what the label's probability is drawn to, in [1, inf); 1 is the mean squared error. The authors' code has 30
            for CIFAR-10 and WebVision, 20 for CIFAR-100, 5 for Clothing1M.

    Raises:
        ValueError: if a is out of range.
    """

    def __init__(self, a: float = 30.0) -> None:
        super().__init__()
        check_range("a", a, "[1, inf)")
        self.a = a

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        log_p = log_probabilities(logits)
        p = log_p.exp()
        if is_hard(log_p, target):
            missing = self.a - 1 + complement(at_label(log_p, target))
            others = p.scatter(1, target.unsqueeze(1), 0)
            return (missing.square() + others.square().sum(1)) / p.shape[1]
        return F.mse_loss(p, self.a * target.to(p.dtype), reduction="none").mean(1)


@final
class JointAsymmetricLoss(RobustLoss):
    """Joint asymmetric loss α·active + β·AMSE: any active loss with the asymmetric mean squared error as the passive.

    The authors' JAL-CE is this with the normalized cross-entropy, JAL-FL with `NormalizedFocalLoss(gamma=0.5,
    detach_factor=True)`. Their tables also rest on an L1 penalty on all parameters in place of weight decay, 5e-5 for
    CIFAR-10 and 5e-6 for CIFAR-100: give it as `--model.l1_decay` and set the optimizer's weight_decay to 0. WebVision
    and Clothing1M have weight decay, of 3e-5 and 1e-3, instead.

    Args:
        active: loss of the given class alone; NormalizedCrossEntropy() if not given.
        alpha: weight of the active loss, in [0, inf). The authors' code has 1 for CIFAR-10, 5 for CIFAR-100 and
            Clothing1M, 50 for WebVision.
        beta: weight of the asymmetric mean squared error, in [0, inf). The authors' code has 1, and 0.1 for Clothing1M.
        a: what the label's probability is drawn to, in [1, inf). Values as for `AsymmetricMSE`.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self, active: RobustLoss | None = None, alpha: float = 1.0, beta: float = 1.0, a: float = 30.0
    ) -> None:
        super().__init__()
        self.sum = ActivePassive(active, AsymmetricMSE(a), alpha, beta)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,), or (B, K) probabilities if active takes them.

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        losses: Tensor = self.sum(logits, target)
        return losses
