import pytest
import torch

from noisy_lightning.training.metrics import TestMetrics, ValidationMetrics

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
    metrics.update(LOSSES, LOGITS, torch.tensor([0, 1, 1, 2]))
    found = {name: value.item() for name, value in metrics.compute().items()}
    expected = {"loss": 2.5, "acc": 0.5, "acc_class/0": 1.0, "acc_class/1": 0.5, "acc_class/2": 0.0}
    assert found == pytest.approx(expected)
