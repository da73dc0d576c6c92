import math

import pytest
import torch
from torch import Tensor

from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods.parts.over_parameters import (
    OverParameters,
    cross_entropy,
    shifted_probabilities,
    squared_distance,
    squares,
)
from tests.reference.losses import one_hot
from tests.reference.sop import sop_loss

N, K = 12, 3


def _losses(logits: Tensor, label: Tensor, u: Tensor, v: Tensor, square_moves_u: bool = True) -> tuple[Tensor, Tensor]:
    at_given, elsewhere = squares(label, u, v)
    explained = cross_entropy(shifted_probabilities(logits, at_given, elsewhere), label)
    return explained, squared_distance(logits, label, at_given if square_moves_u else at_given.detach(), elsewhere)


@pytest.mark.parametrize("square_moves_u", [True, False])
@pytest.mark.parametrize("scale", [0.3, 0.9, 2.0])
def test_both_losses_and_their_gradients_are_those_of_the_authors_code(scale: float, square_moves_u: bool) -> None:
    """With parameters beyond 1, too, and probabilities below 1e-4."""
    random = torch.Generator().manual_seed(0)
    logits = (6 * torch.randn(20, K, generator=random, dtype=torch.float64)).requires_grad_()
    u = (scale * torch.randn(20, 1, generator=random, dtype=torch.float64)).requires_grad_()
    v = (scale * torch.randn(20, K, generator=random, dtype=torch.float64)).requires_grad_()
    labels = torch.arange(20) % K
    ours = _losses(logits, labels, u, v, square_moves_u)
    theirs = [sop_loss(logits[i], int(labels[i]), u[i, 0], v[i], square_moves_u) for i in range(20)]
    for k in range(2):
        torch.testing.assert_close(ours[k], torch.stack([losses[k] for losses in theirs]))
    expected = torch.autograd.grad(sum(ce + mse for ce, mse, _ in theirs), (logits, u, v))
    for found, gradient in zip(torch.autograd.grad((ours[0] + ours[1]).sum(), (logits, u, v)), expected, strict=True):
        torch.testing.assert_close(found, gradient)


def test_each_loss_has_a_gradient_where_it_should() -> None:
    logits = torch.zeros(1, K, dtype=torch.float64).requires_grad_()
    u, v = (torch.full((1, size), 0.5, dtype=torch.float64).requires_grad_() for size in (1, K))
    explained, distance = _losses(logits, torch.tensor([1]), u, v)
    of_explained = torch.autograd.grad(explained.sum(), (logits, u, v), retain_graph=True, allow_unused=True)
    of_distance = torch.autograd.grad(distance.sum(), (logits, u, v), allow_unused=True)
    assert [gradient is not None for gradient in of_explained] == [True, True, False]
    assert [gradient is not None for gradient in of_distance] == [False, True, True]
    assert of_distance[2] is not None
    assert (of_distance[2] != 0).tolist() == [[True, False, True]]  # none at the given label


def test_a_label_that_is_explained_asks_nothing_of_the_network() -> None:
    logits = torch.tensor([[6.0, 0, 0]], dtype=torch.float64).requires_grad_()
    v = torch.zeros(1, K, dtype=torch.float64)
    sizes = []
    for value in (0.0, 0.5, 1.0):
        explained, _ = _losses(logits, torch.tensor([1]), torch.full((1, 1), value, dtype=torch.float64), v)
        sizes.append(torch.autograd.grad(explained.sum(), logits)[0].abs().max().item())
    assert sizes[0] > 100 * sizes[2]
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_hopeless_sample_costs_no_more_than_the_clamp() -> None:
    logits = torch.tensor([[500.0, 0, 0]], dtype=torch.float64)
    explained, distance = _losses(logits, torch.tensor([1]), torch.zeros(1, 1), torch.zeros(1, K))
    assert explained.item() == pytest.approx(-math.log(1e-4), rel=1e-4)
    assert distance.item() == sum((a - b) ** 2 for a, b in zip(one_hot(0, K), one_hot(1, K), strict=True))


def test_without_parameters_it_is_plain_cross_entropy() -> None:
    logits, labels = torch.randn(5, K, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1])
    explained, _ = _losses(logits.bfloat16(), labels, torch.zeros(5, 1), torch.zeros(5, K))
    assert explained.dtype == torch.float32
    torch.testing.assert_close(explained, CrossEntropy()(logits.bfloat16(), labels))


# What is learned, and when


def _teach(samples: OverParameters, index: Tensor) -> None:
    """Let samples learn from losses u + v₁ + 2·v₂ + ..., whose gradients are 1 and 1, 2, ..."""
    u, v = samples.read(index)
    samples.learn(index, u, v, u[:, 0] + (v * torch.arange(1, K + 1)).sum(1))


def _samples() -> OverParameters:
    return OverParameters(N, K, lr_u=6.0, lr_v=12.0, initial_std=1e-8)


def test_a_batch_is_learned_when_the_optimizer_has_stepped() -> None:
    samples = _samples()
    before = {name: value.clone() for name, value in samples.state_dict().items()}
    _teach(samples, torch.tensor([7, 2, 5]))
    assert all(value.equal(before[name]) for name, value in samples.state_dict().items())
    samples.follow()
    expected_u, expected_v = before["u.values"].clone(), before["v.values"].clone()
    expected_u[[2, 5, 7]] -= 6 / 3
    expected_v[[2, 5, 7]] -= 12 / 3 * torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(samples.u.values, expected_u)
    torch.testing.assert_close(samples.v.values, expected_v)
    samples.follow()
    torch.testing.assert_close(samples.u.values, expected_u)


def test_batches_between_two_steps_count_as_one() -> None:
    torch.manual_seed(0)
    whole = _samples()
    torch.manual_seed(0)
    parts = _samples()
    _teach(whole, torch.arange(9))
    for index in torch.arange(9).split(3):
        _teach(parts, index)
    whole.follow()
    parts.follow()
    torch.testing.assert_close(parts.u.values, whole.u.values)
    torch.testing.assert_close(parts.v.values, whole.v.values)


def test_stock_is_taken_of_the_training_part() -> None:
    samples = _samples()
    samples.u.values.fill_(0.5)
    samples.u.values[:6] = 3.0
    samples.u.values[6] = -2.0
    labels = torch.zeros(N, dtype=torch.long)
    labels[:6] = -1
    samples.take_stock(labels)
    assert samples.noise_rate.item() == pytest.approx((1 + 5 * 0.25) / 6)


def test_parameters_are_saved_and_seen_by_no_optimizer() -> None:
    samples = _samples()
    assert not list(samples.parameters())
    assert set(samples.state_dict()) == {"u.values", "v.values", "noise_rate"}
    assert 0 < samples.u.values.std().item() < 1e-7


@pytest.mark.parametrize(("name", "value"), [("lr_u", -1.0), ("lr_v", -1.0), ("initial_std", 0.0)])
def test_a_value_out_of_range_is_refused(name: str, value: float) -> None:
    values = {"lr_u": 1.0, "lr_v": 1.0, "initial_std": 1.0} | {name: value}
    with pytest.raises(ValueError, match=name):
        OverParameters(N, K, **values)
