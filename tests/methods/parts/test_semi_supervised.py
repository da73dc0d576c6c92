import pytest
import torch

from noisy_lightning.methods.parts.semi_supervised import class_balance
from tests.reference import ssr as paper


def test_classes_weigh_the_same_and_one_on_average() -> None:
    labels = torch.tensor([0, 0, 0, 1, 3, 3])
    weights = class_balance(labels, 5)
    assert weights.tolist() == pytest.approx([2 / 3, 2, 0, 1, 0])
    assert weights[labels].mean() == pytest.approx(1)
    assert weights[labels].tolist() == pytest.approx(paper.weights(labels.tolist(), [True] * 6, 5))


def test_without_samples_all_classes_weigh_nothing() -> None:
    assert class_balance(torch.zeros(0, dtype=torch.long), 3).tolist() == [0, 0, 0]
