"""The tempered softmax is exact, and the loss has the gradient that its authors derive."""

import math

import numpy as np
import pytest
import torch

from noisy_lightning.losses import BiTemperedLogistic
from noisy_lightning.losses.bi_tempered import log_tempered_softmax

TEMPERATURES = [(0.5, 4.0), (0.8, 1.2), (0.8, 1.4), (1.0, 1.05), (0.3, 1.0), (0.5, 0.8), (0.9, 0.6), (0.0, 0.2)]


def draw(classes, rows=8, scale=2.0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(classes)
    logits = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.randint(classes, (rows,), generator=generator)


def by_halving(logits, t):
    """The tempered softmax by numpy, λ by halving an interval until nothing is left of it."""
    z = logits.double().numpy()
    z = z - z.max(1, keepdims=True)

    def probabilities(shift):
        if t == 1:
            return np.exp(z - shift)
        return np.maximum(1 + (1 - t) * (z - shift), 0) ** (1 / (1 - t))

    low = np.zeros((len(z), 1))
    high = low + (math.log(z.shape[1]) if t == 1 else (z.shape[1] ** (t - 1) - 1) / (t - 1))
    for _ in range(200):
        middle = (low + high) / 2
        large = probabilities(middle).sum(1, keepdims=True) > 1
        low, high = np.where(large, middle, low), np.where(large, high, middle)
    return torch.from_numpy(probabilities(low))


@pytest.mark.parametrize("classes", [2, 10, 100, 1000])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.95, 0.9999, 1.0, 1.0001, 1.2, 1.4, 2.0, 4.0])
def test_the_probabilities_are_exact(t, classes):
    for scale in (0, 0.1, 3, 100, 1e4):
        logits, _ = draw(classes, scale=scale)
        exact = by_halving(logits, t)
        torch.testing.assert_close(log_tempered_softmax(logits, t).exp(), exact, rtol=1e-8, atol=1e-12)
        if scale <= 100:  # of larger ones float32 itself holds too few digits
            found = log_tempered_softmax(logits.float(), t)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.exp().double(), exact, rtol=1e-3, atol=1e-5)


def test_five_iterations_of_the_authors_were_not_enough_for_100_classes():
    logits, _ = draw(100)
    shifted = logits - logits.amax(1, keepdim=True)
    scaled = shifted
    for _ in range(5):
        partition = (1 - 0.4 * scaled).pow(-2.5).sum(1, keepdim=True)
        scaled = shifted * partition**-0.4
    partition = (1 - 0.4 * scaled).pow(-2.5).sum(1, keepdim=True)
    theirs = (1 - 0.4 * (shifted - (partition**0.4 - 1) / 0.4)).pow(-2.5)
    assert 1e-4 < (theirs.sum(1) - 1).abs().max() < 0.1
    torch.testing.assert_close(log_tempered_softmax(logits, 1.4).exp().sum(1), torch.ones(8, dtype=torch.float64))


@pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
@pytest.mark.parametrize("classes", [2, 10, 100])
def test_the_gradient_is_that_of_the_authors(t1, t2, classes):
    logits, label = draw(classes)
    logits.requires_grad_()
    losses = BiTemperedLogistic(t1, t2)(logits, label)
    gradient = torch.autograd.grad(losses.sum(), logits)[0]
    p = by_halving(logits.detach(), t2)
    inside = p > 0
    change = torch.where(inside, (p - torch.eye(classes, dtype=p.dtype)[label]) * p.pow(t2 - t1), 0)
    escort = p.pow(t2) / p.pow(t2).sum(1, keepdim=True)
    torch.testing.assert_close(gradient, change - escort * change.sum(1, keepdim=True), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("t1", "t2"), [(0.5, 4.0), (0.8, 1.2), (0.3, 1.0), (0.5, 0.8)])
def test_first_and_second_derivatives_are_those_of_finite_differences(t1, t2):
    logits, label = draw(5, rows=3, scale=0.5)
    logits.requires_grad_()
    loss = BiTemperedLogistic(t1, t2, label_smoothing=0.1)
    assert torch.autograd.gradcheck(lambda logits: loss(logits, label), logits)
    assert torch.autograd.gradgradcheck(lambda logits: loss(logits, label), logits)


def test_a_label_without_probability_costs_the_bound_and_has_no_gradient():
    logits = torch.tensor([[10.0, 0.0, 0.0]], requires_grad=True)
    label = torch.tensor([1])
    losses = BiTemperedLogistic(0.9, 0.8)(logits, label)
    torch.testing.assert_close(losses, torch.tensor([10.0]))
    assert not torch.autograd.grad(losses.sum(), logits)[0].any()
    assert BiTemperedLogistic(1.0, 0.8)(logits, label).isfinite().all()


def test_a_low_first_temperature_bounds_the_loss():
    logits = torch.tensor([[-1e4] + [1e4] * 9, [1e4] + [-1e4] * 9])
    losses = BiTemperedLogistic(0.8, 1.2)(logits, torch.zeros(2, dtype=torch.long))
    assert losses[0] <= 1 / (1 - 0.8)
    torch.testing.assert_close(losses[1], torch.tensor(0.0), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("t1", "t2"), [*TEMPERATURES, (1.0, 0.8), (0.9999, 1.0001)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_and_gradients_are_finite_at_any_logits(t1, t2, dtype):
    for classes in (2, 100):
        for scale in (0, 1e-3, 1, 5, 30, 1e3, 1e4):
            logits, label = draw(classes, rows=64, scale=scale, dtype=dtype)
            logits.requires_grad_()
            losses = BiTemperedLogistic(t1, t2)(logits, label)
            assert losses.isfinite().all()
            assert (losses > -1e-4).all()
            assert torch.autograd.grad(losses.sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_both_temperatures_at_one_are_cross_entropy(classes):
    logits, label = draw(classes)
    expected = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    torch.testing.assert_close(BiTemperedLogistic(1, 1)(logits, label), expected)
    close = BiTemperedLogistic(1 - 1e-7, 1 + 1e-7)(logits, label)
    torch.testing.assert_close(close, expected, rtol=1e-5, atol=1e-6)


def test_labels_cannot_be_smoothed_beyond_the_uniform_distribution():
    logits, label = draw(10)
    uniform = BiTemperedLogistic(label_smoothing=0.9)(logits, label)
    torch.testing.assert_close(uniform, BiTemperedLogistic()(logits, torch.full_like(logits, 0.1)))
    with pytest.raises(ValueError, match=r"label_smoothing must be at most 1 - 1/K, 0\.9 here, got 0\.95"):
        BiTemperedLogistic(label_smoothing=0.95)(logits, label)
