import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.methods.parts.contrastive import instance_contrast
from noisy_lightning.methods.parts.projection import Projection
from noisy_lightning.methods.parts.ranks import gather_with_gradient
from tests.reference.unicon import project, simclr


def _views(n: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    both = torch.randn(2, n, 4, generator=random, dtype=torch.float64)
    first, second = F.normalize(both, dim=2)
    return first, second


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0])
def test_contrast_is_that_of_the_formula(n: int, temperature: float) -> None:
    views = one, other = [view.requires_grad_() for view in _views(n)]
    loss, expected = instance_contrast(one, other, temperature), simclr(one, other, temperature)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    for ours, theirs in zip(torch.autograd.grad(loss, views), torch.autograd.grad(expected, views), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_equal_vectors_tell_nothing_apart() -> None:
    same = F.normalize(torch.ones(3, 4), dim=1)
    assert instance_contrast(same, same, 0.1).item() == pytest.approx(np.log(5))


def test_half_precision_does_not_round_similarities() -> None:
    first, second = (view.float() for view in _views(6))
    exact = instance_contrast(first, second, 0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert instance_contrast(first, second, 0.05).item() == pytest.approx(exact.item(), rel=1e-6)


def _projection() -> Projection:
    torch.manual_seed(0)
    projection = Projection(nn.Linear(4, 3).double(), 5)
    with torch.no_grad():
        projection.norm.weight.uniform_(0.5, 2)
        projection.norm.bias.uniform_(-1, 1)
    return projection


def test_a_projection_is_that_of_the_formula() -> None:
    projection, (features, _) = _projection(), _views(6)
    ours = projection(features)
    theirs = torch.stack([torch.stack(row) for row in project(features, projection.linear, projection.norm)])
    torch.testing.assert_close(ours, theirs)
    for weight, other in zip(
        torch.autograd.grad(ours[:, 0].sum(), list(projection.parameters())),
        torch.autograd.grad(theirs[:, 0].sum(), list(projection.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(weight, other)
    projection.zero_grad()
    projection.nothing().backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in projection.parameters())


def test_one_rank_has_its_own_values_alone() -> None:
    value = torch.ones(2, 3)
    assert gather_with_gradient(value) is value
