"""Means over the samples of an evaluation."""

from typing import final

import torch
from torch import Tensor
from torchmetrics import Metric


@final
class SampleMean(Metric):
    """Mean over samples and ranks; a NaN among them shows, unlike in torchmetrics' own MeanMetric."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, values: Tensor, counted: Tensor | None = None) -> None:
        """Take in values (B,), those alone for which `counted` (B,) is true."""
        counted = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
        self.total += values.float().where(counted, 0).sum()
        self.count += counted.sum()

    def compute(self) -> tuple[Tensor, int]:
        """Return the mean () and how many values it is of."""
        return self.total / self.count, int(self.count)
