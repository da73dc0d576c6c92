"""The "normalized" cross-entropy that the notebook of Kim and Kang (2023) ran."""

from typing import final

from torch import Tensor

from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.losses.probabilities import expected, log_probabilities
from noisy_lightning.losses.ranges import check_range


@final
class EntropyNormalizedCrossEntropy(RobustLoss):
    """Cross-entropy over the prediction's entropy, CE / H(p), with log p read as log(p + ε).

    What the notebook of Kim and Kang (course project, 2023) ran under the name of the normalized cross-entropy of Ma et
    al. (2020), which is `NormalizedCrossEntropy`. Neither bounded nor robust: it explodes where the network is
    confident and disagrees with the label. Their rows "NCE+RCE", and "NFL+RCE" for asymmetric noise, were trained on
    `ActivePassive(EntropyNormalizedCrossEntropy(), CrossEntropy())`, "NFL+RCE" for symmetric noise on
    `ActivePassive(FocalLoss(gamma=0.5), CrossEntropy())`.

    Deviation: the entropy counts as ε at least, for a saturated prediction's is 0, which in the notebook divides
    to infinity or NaN.

    Args:
        offset: ε, in (0, 1). The notebook has 1e-8.

    Raises:
        ValueError: if offset is out of range.
    """

    def __init__(self, offset: float = 1e-8) -> None:
        super().__init__()
        check_range("offset", offset, "(0, 1)")
        self.offset = offset

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of logits (B, K) for class indices (B,) or class probabilities (B, K).

        Raises:
            ValueError: on CPU, if a label lies outside [0, K).
        """
        p = log_probabilities(logits).exp()
        surprise = -(p + self.offset).log()
        entropy = (p * surprise).sum(1).clamp_min(self.offset)
        return expected(surprise, target) / entropy
