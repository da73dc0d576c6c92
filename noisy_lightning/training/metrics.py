"""What an evaluation measures, over all samples and ranks."""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy


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


@final
class ValidationMetrics(nn.Module):
    """Loss and accuracy on given labels, and accuracy on true ones where they are known."""

    def __init__(self) -> None:
        super().__init__()
        self.loss, self.accuracy, self.true_accuracy = SampleMean(), SampleMean(), SampleMean()

    def update(self, losses: Tensor, logits: Tensor, label: Tensor, true_label: Tensor) -> None:
        """Take in a batch: losses (B,), logits (B, K), given and true labels (B,), the latter -1 where unknown."""
        predicted = logits.argmax(1)
        self.loss.update(losses)
        self.accuracy.update(predicted == label)
        self.true_accuracy.update(predicted == true_label, counted=true_label >= 0)

    def compute(self) -> dict[str, Tensor]:
        """Return `loss`, `acc` and `acc_true`, those of them that are means of anything."""
        means = {"loss": self.loss, "acc": self.accuracy, "acc_true": self.true_accuracy}
        return {name: value for name, mean in means.items() for value, count in [mean.compute()] if count}


@final
class TestMetrics(nn.Module):
    """Loss and accuracy on one test set.

    Args:
        num_classes: K.
    """

    __test__ = False  # not for pytest

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss, self.accuracy = SampleMean(), SampleMean()
        self.accuracy_per_class = MulticlassAccuracy(num_classes, average=None)

    def update(self, losses: Tensor, logits: Tensor, label: Tensor) -> None:
        """Take in a batch: losses (B,), logits (B, K) and true labels (B,)."""
        self.loss.update(losses)
        self.accuracy.update(logits.argmax(1) == label)
        self.accuracy_per_class.update(logits, label)

    def compute(self) -> dict[str, Tensor]:
        """Return `loss`, `acc` and, for each class k, `acc_class/<k>`."""
        per_class = self.accuracy_per_class.compute()
        means = {"loss": self.loss.compute()[0], "acc": self.accuracy.compute()[0]}
        return means | {f"acc_class/{k}": value for k, value in enumerate(per_class)}


def computed(metrics: Mapping[str, ValidationMetrics | TestMetrics]) -> dict[str, Tensor]:
    """Return what was measured, each value under the name of what it is of, such as `val_second/acc`."""
    return {f"{name}/{key}": value for name, one in metrics.items() for key, value in one.compute().items()}
