"""What an evaluation measures, over all samples and ranks."""

from collections.abc import Mapping
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.utilities import dim_zero_cat

from noisy_lightning.runs.classification import calibration


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


class TestedImages(NamedTuple):
    """What a network made of the M images of a test set, in their order; on the CPU."""

    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    """(M,) int64 positions in the test set, ascending."""
    label: Tensor
    """(M,) int64 true labels."""
    predicted: Tensor
    """(M,) int64."""
    probability: Tensor
    """(M,) float32 of the predicted class."""
    loss: Tensor
    """(M,) float32."""


@final
class _Images(Metric):
    """Keeps what `TestedImages` holds, of all ranks."""

    def __init__(self) -> None:
        super().__init__()
        for name in TestedImages.__annotations__:
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, *columns: Tensor) -> None:
        """Take in the fields of `TestedImages` of a batch."""
        for name, column in zip(TestedImages.__annotations__, columns, strict=True):
            getattr(self, name).append(column)

    def compute(self) -> TestedImages:
        """Return all images in their order."""
        columns = [dim_zero_cat(getattr(self, name)).cpu() for name in TestedImages.__annotations__]
        order = columns[0].argsort()
        return TestedImages(*(column[order] for column in columns))


@final
class TestMetrics(nn.Module):
    """Loss, accuracy and calibration on one test set.

    Args:
        num_classes: K.
    """

    __test__ = False  # not for pytest

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.loss, self.accuracy, self.images = SampleMean(), SampleMean(), _Images()
        self.accuracy_per_class = MulticlassAccuracy(num_classes, average=None)

    def update(self, losses: Tensor, logits: Tensor, label: Tensor, index: Tensor) -> None:
        """Take in a batch: losses (B,), logits (B, K), true labels (B,) and positions in the test set (B,)."""
        probability, predicted = logits.float().softmax(1).amax(1), logits.argmax(1)
        self.loss.update(losses)
        self.accuracy.update(predicted == label)
        self.accuracy_per_class.update(logits, label)
        self.images.update(index, label, predicted, probability, losses.float())

    def compute(self) -> dict[str, Tensor]:
        """Return `loss`, `acc`, `ece` and, for each class k, `acc_class/<k>`."""
        per_class = self.accuracy_per_class.compute()
        means = {"loss": self.loss.compute()[0], "acc": self.accuracy.compute()[0]}
        seen = self.seen()
        error = calibration(seen.probability.numpy(), (seen.predicted == seen.label).numpy()).error
        means["ece"] = torch.tensor(error, device=per_class.device)
        return means | {f"acc_class/{k}": value for k, value in enumerate(per_class)}

    def seen(self) -> TestedImages:
        """Return what was made of each image: called by all ranks together at first, and by any afterward."""
        seen: TestedImages = self.images.compute()  # which keeps it
        return seen


def computed(metrics: Mapping[str, ValidationMetrics | TestMetrics]) -> dict[str, Tensor]:
    """Return what was measured, each value under the name of what it is of, such as `val_second/acc`."""
    return {f"{name}/{key}": value for name, one in metrics.items() for key, value in one.compute().items()}
