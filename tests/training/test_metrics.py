import pytest
import torch

from noisy_lightning.training.metrics import TestMetrics, ValidationMetrics
from tests.ranks import on_two_ranks

# Of four samples, one has no known true label and one is of none of the classes.
LOGITS = torch.eye(3)[[0, 1, 2, 1]]
GIVEN, TRUE = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, -1, -2])
LOSSES = torch.tensor([1.0, 2.0, 3.0, 4.0])


def test_accuracy_on_true_labels_is_over_those_that_there_are() -> None:
    metrics = ValidationMetrics()
    for part in (slice(0, 1), slice(1, 4)):
        metrics.update(LOSSES[part], LOGITS[part], GIVEN[part], TRUE[part])
    found = {name: value.item() for name, value in metrics.compute().items()}
    assert found == {"loss": 2.5, "acc": 0.5, "acc_true": 0.5}


def test_without_a_true_label_there_is_no_accuracy_on_them() -> None:
    metrics = ValidationMetrics()
    metrics.update(LOSSES[2:], LOGITS[2:], GIVEN[2:], TRUE[2:])
    assert metrics.compute().keys() == {"loss", "acc"}


def test_a_test_measures_each_class() -> None:
    metrics = TestMetrics(3)
    metrics.update(LOSSES, LOGITS, torch.tensor([0, 1, 1, 2]), torch.arange(4))
    found = {name: value.item() for name, value in metrics.compute().items()}
    confidence = torch.e / (torch.e + 2)  # the same of all four, half of which are right
    expected = {"loss": 2.5, "acc": 0.5, "acc_class/0": 1.0, "acc_class/1": 0.5, "acc_class/2": 0.0}
    assert found == pytest.approx(expected | {"ece": confidence - 0.5})


def test_what_was_made_of_each_image_is_kept_in_the_order_of_images() -> None:
    metrics = TestMetrics(3)
    index, labels = torch.tensor([7, 1, 4, 0]), torch.tensor([0, 1, 1, 2])
    for part in (slice(0, 3), slice(3, 4)):
        metrics.update(LOSSES[part], LOGITS[part].bfloat16(), labels[part], index[part])
    metrics.compute()
    seen = metrics.seen()
    assert seen.index.tolist() == [0, 1, 4, 7]
    assert seen.label.tolist() == [2, 1, 1, 0]
    assert seen.predicted.tolist() == [1, 1, 2, 0]
    assert seen.loss.tolist() == [4, 2, 3, 1]
    torch.testing.assert_close(seen.probability, torch.full((4,), torch.e / (torch.e + 2)))


def _measured(rank: int) -> tuple[dict[str, float], list[int]]:
    metrics = TestMetrics(3)
    for part in ((slice(0, 2), slice(2, 3)), (slice(3, 4),))[rank]:  # one rank has fewer images and batches
        metrics.update(LOSSES[part], LOGITS[part], torch.tensor([0, 1, 1, 2])[part], torch.arange(4)[part])
    return {name: value.item() for name, value in metrics.compute().items()}, metrics.seen().index.tolist()


def test_two_ranks_measure_each_image_once() -> None:
    metrics = TestMetrics(3)
    metrics.update(LOSSES, LOGITS, torch.tensor([0, 1, 1, 2]), torch.arange(4))
    alone = {name: value.item() for name, value in metrics.compute().items()}
    for found, index in on_two_ranks(_measured):
        assert found == pytest.approx(alone)
        assert index == [0, 1, 2, 3]
