import math
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, RobustLoss
from noisy_lightning.methods import Problem, SampleSelectionCORES
from noisy_lightning.methods.sample_selection_cores import beta_at
from tests.methods.toys import (
    K,
    assert_same_weights,
    batches,
    context,
    points,
    problem,
    sample_weights,
)
from tests.reference.losses import generalized_cross_entropy, one_hot, softmax
from tests.reference.sample_selection_cores import cores_step, f_beta, prior_after

ETA, EPOCHS = 0.5, 8


def _toy() -> tuple[Tensor, Tensor]:
    """Return the points, with labels out of balance."""
    images, labels = points()
    labels = labels.clone()
    labels[:6] = 0
    return images, labels


@pytest.mark.parametrize("prior", ["kept", "uniform"])
@pytest.mark.parametrize(("beta", "warm_up", "ramp", "sieve_from"), [(2.0, 1, 3, 4), (0.5, 2, 3, 3), (1.0, 0, 1, 0)])
def test_walks_the_path_of_the_paper(
    beta: float, warm_up: int, ramp: int, sieve_from: int, prior: Literal["kept", "uniform"]
) -> None:
    torch.manual_seed(0)
    images, labels = _toy()
    method = SampleSelectionCORES(problem(), beta, warm_up, ramp, sieve_from, prior).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    kept = []
    for epoch in range(EPOCHS):
        now = context(epoch)
        now = type(now)(epoch, EPOCHS, labels, now.predict)
        method.on_epoch_start(now)
        for index in batches(epoch):
            optimizer.zero_grad()
            step = method.step(images[index], labels[index], index)
            step.loss.backward()
            optimizer.step()
            kept.append(sample_weights(step))
        method.on_epoch_end(now)

    noise_prior = prior_after(labels.tolist(), []) if prior == "kept" else [1 / K] * K
    sieved = False
    for epoch in range(EPOCHS):
        left_out = []
        for index in batches(epoch):
            beta_now = f_beta(epoch, beta, warm_up, ramp, EPOCHS)
            passed = cores_step(f, images[index], labels[index], beta_now, epoch >= sieve_from, noise_prior, ETA)
            assert kept.pop(0) == passed
            left_out += [i for i, v in zip(index.tolist(), passed, strict=True) if not v]
        sieved = sieved or bool(left_out)
        if prior == "kept":
            noise_prior = prior_after(labels.tolist(), left_out)
    assert sieved
    assert_same_weights(method.backbone, f, rtol=1e-5, atol=1e-7)  # p + 1e-8 has no sum of 1 there


def test_beta_is_that_of_the_authors_code() -> None:
    assert [beta_at(e, 2.0, 10, 30) for e in range(100)] == pytest.approx(
        [f_beta(e, 2, 10, 30, 60) for e in range(100)]
    )
    assert [beta_at(e, 2.0, 1, 1) for e in range(3)] == [0, 0, 2]
    assert [beta_at(e, 2.0, 0, 0) for e in range(2)] == [2, 2]


def _fixed(
    sieving: bool, beta: float = 0.0, loss: RobustLoss | None = None, divide: bool = False
) -> SampleSelectionCORES:
    """Return the method on logits as images, in an epoch in which it sieves or not."""
    task = Problem(nn.Identity, loss or CrossEntropy(), K, 10)
    method = SampleSelectionCORES(task, beta, 0, 0, 0 if sieving else 1, "uniform", divide).double()
    method.on_epoch_start(context(0))
    return method


LOGITS = torch.tensor([[2.0, 0, 0], [0, 1.0, 0], [0, 0, 3.0], [1.0, 0, 0]], dtype=torch.float64)


def test_a_label_that_costs_more_than_the_mean_is_left_out() -> None:
    step = _fixed(sieving=True).step(LOGITS, torch.tensor([0, 0, 2, 1]), torch.arange(4))
    assert sample_weights(step) == [True, False, True, False]
    expected = (-math.log(math.exp(2) / (math.exp(2) + 2)) - math.log(math.exp(3) / (math.exp(3) + 2))) / 2
    assert step.loss.item() == pytest.approx(expected)
    step = _fixed(sieving=False).step(LOGITS, torch.tensor([0, 0, 2, 1]), torch.arange(4))
    assert all(sample_weights(step))
    assert step.loss.item() == pytest.approx(step.losses.mean().item())


def test_the_losses_recorded_are_those_without_regularizer() -> None:
    labels = torch.tensor([0, 0, 2, 1])
    step = _fixed(sieving=True, beta=2.0).step(LOGITS, labels, torch.arange(4))
    assert step.losses.equal(CrossEntropy()(LOGITS, labels))
    assert step.logits.equal(LOGITS)


def test_any_loss_can_be_regularized() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    step = _fixed(sieving=False, beta=0.5, loss=GeneralizedCrossEntropy()).step(LOGITS, labels, torch.arange(4))
    expected = []
    for z, y in zip(LOGITS, labels.tolist(), strict=True):
        every = [generalized_cross_entropy(softmax(z), one_hot(k, K), 0.7) for k in range(K)]
        expected.append(every[y] - 0.5 * sum(every) / K)
    torch.testing.assert_close(step.loss, sum(expected) / 4, rtol=1e-6, atol=0)


def test_the_loss_is_divided_instead_of_the_learning_rate() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    whole, divided = (
        _fixed(sieving=False, beta=2.0, divide=divide).step(LOGITS, labels, torch.arange(4)).loss
        for divide in (False, True)
    )
    torch.testing.assert_close(divided * 3, whole)


def test_the_regularizer_has_a_lower_bound() -> None:
    logits = torch.tensor([[1000.0, 0, 0]], dtype=torch.float64, requires_grad=True)
    loss = _fixed(sieving=True, beta=2.0).step(logits, torch.tensor([0]), torch.tensor([0])).loss
    assert loss.item() == pytest.approx(-2 * 2 / 3 * -math.log(1e-8))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max().item() == 0


def test_a_batch_of_which_nothing_is_kept_changes_nothing() -> None:
    logits = LOGITS.clone().requires_grad_()
    step = _fixed(sieving=True, beta=2.0).step(logits, torch.tensor([1, 0, 0, 2]), torch.arange(4))
    assert not any(sample_weights(step))
    assert step.loss.item() == 0
    (gradient,) = torch.autograd.grad(step.loss, logits)
    assert gradient.abs().max().item() == 0


def test_an_epoch_of_which_nothing_is_kept_leaves_the_prior_alone() -> None:
    method = SampleSelectionCORES(problem(), sieve_from=0)
    method.on_epoch_start(context(0))
    before = method.prior.clone()
    method.on_epoch_end(context(0))
    assert method.prior.equal(before)
    assert method.prior.sum().item() == pytest.approx(1)


def test_a_run_that_has_broken_down_shows() -> None:
    logits = LOGITS.clone()
    logits[0, 0] = math.nan
    step = _fixed(sieving=True).step(logits, torch.tensor([1, 0, 0, 2]), torch.arange(4))
    assert step.loss.isnan()


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_batch_is_enough(size: int) -> None:
    for label in range(K):
        method = _fixed(sieving=True, beta=2.0)
        step = method.step(LOGITS[:size], torch.full((size,), label), torch.arange(size))
        assert step.loss.isfinite()


def test_equal_probabilities_are_kept() -> None:
    """As they are where a network begins."""
    step = _fixed(sieving=True).step(torch.zeros(2, K, dtype=torch.float64), torch.tensor([0, 1]), torch.arange(2))
    assert all(sample_weights(step))


def test_says_what_beta_is_in_force() -> None:
    method = SampleSelectionCORES(problem(), beta=2.0, warm_up=1, ramp=3)
    found = []
    for epoch in range(6):
        method.on_epoch_start(context(epoch))
        found.append(method.scalars()["beta"].item())
    assert found == [0, 0, 1, 2, 2, 2]


@pytest.mark.parametrize("name", ["beta", "warm_up", "ramp", "sieve_from"])
def test_a_value_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SampleSelectionCORES(problem(), **{name: -1})  # type: ignore[arg-type]
