import math

import torch

from noisy_lightning.methods.parts.soft_targets import given_targets, moved, share_contradicted


def test_given_targets_are_one_hot_and_flat_outside() -> None:
    assert given_targets(torch.tensor([2, -1, 0]), 4).tolist() == [[0, 0, 1, 0], [0.25] * 4, [1, 0, 0, 0]]


def test_a_target_moves_by_its_share_but_not_toward_nan() -> None:
    target = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    p = torch.tensor([[0.2, 0.8], [math.nan, math.nan]], requires_grad=True)
    result = moved(target, p, 0.75)
    assert not result.requires_grad
    torch.testing.assert_close(result, torch.tensor([[0.8, 0.2], [0.5, 0.5]]))
    assert moved(target, p, torch.tensor(1.0)).equal(target)


def test_contradicted_labels_are_counted_among_those_trained_on() -> None:
    targets = torch.tensor([[0.6, 0.4], [0.1, 0.9], [0.1, 0.9], [0.3, 0.7]])
    assert share_contradicted(targets, torch.tensor([0, 0, 1, -1])).item() == torch.tensor(1 / 3).item()
