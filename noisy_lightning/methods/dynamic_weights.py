"""Dynamic sample weights: Kim and Kang, student project on label noise for the course COMP 433, 2023.

Text and code of their report disagree, and its tables come from the code; the modes keep the two apart.
"""

from collections.abc import Collection
from typing import ClassVar, Literal, final

import torch
from torch import Tensor

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import ANY, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.types import Step


@final
class DynamicWeights(OneNetwork):
    """One network whose samples count by its confidence c, the largest probability that it gives to any class.

    - `as_described`: w = 1 where c ≥ threshold, else c / threshold: "prominence to samples with higher confidence
      while de-emphasizing those with lower confidence". This is our reading of the text, which has no formula.
    - `as_run`: w = 1 where c < threshold, else 1 / c, and the batch's mean loss is multiplied by the batch's mean w.
      All published tables used this. It does not weight samples against each other: it scales the whole step by a
      factor from 1 to 1 / threshold. The gradient also flows through w.
    - `per_sample`: the same w, without gradient, on each sample's own loss. Samples just above the threshold count
      most, while very sure and unsure ones count 1: this is not what the text describes either.

    Args:
        problem: The task.
        mode: One of the above.
        threshold: Confidence in (0, 1]. The report tried 0.4, 0.6 and 0.8 and chose 0.6.

    Raises:
        ValueError: The threshold is out of range.
    """

    samplings: ClassVar[Collection[str]] = ANY
    weighs_classes: ClassVar[bool] = True

    def __init__(
        self,
        problem: Problem,
        mode: Literal["as_described", "as_run", "per_sample"] = "as_described",
        threshold: float = 0.6,
    ) -> None:
        check_range("threshold", threshold, "(0, 1]")
        super().__init__(problem)
        self.mode, self.threshold = mode, threshold

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Weight the losses; they are recorded unweighted, for comparison with other methods."""
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        learned = self.weighted(losses, label)
        weights = self._weights(logits.float().softmax(1).amax(1))
        if self.mode == "as_run":
            # The product of both means over all ranks, in a form whose gradients can be averaged over the ranks.
            loss, weight = batch_mean(learned), batch_mean(weights)
            mean_loss, mean_weight = total(torch.stack([loss, weight])) / world_size()
            return Step(loss * mean_weight + mean_loss * (weight - mean_weight), losses, logits)
        weights = weights.detach()
        return Step(batch_mean(weights * learned), losses, logits, weights if self.mode == "as_described" else None)

    def _weights(self, confidence: Tensor) -> Tensor:
        """Return the weights (B,) of samples with these confidences (B,)."""
        if self.mode == "as_described":
            return (confidence / self.threshold).clamp(max=1)
        return torch.where(confidence < self.threshold, 1, 1 / confidence)
