from typing import Any

import pytest
import torch
from torch import Tensor

from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import SOPPlus
from noisy_lightning.methods.sop_plus import imbalance, kl_divergence
from tests.methods.toys import (
    K,
    assert_same_weights,
    batches,
    context,
    points,
    problem,
)
from tests.ranks import on_two_ranks
from tests.reference.sop import balance_loss, consistency_loss, sop_step

ETA = 0.5


def _views(index: Tensor) -> Tensor:
    """Return two views (2, B, 2) of points."""
    images, _ = points()
    return torch.stack([images[index], images[index] * 0.9 + 0.1])


@pytest.mark.parametrize(("consistency", "balance"), [(0.9, 0.1), (0.0, 2.0), (3.0, 0.0)])
def test_walks_the_path_of_the_paper(consistency: float, balance: float) -> None:
    torch.manual_seed(0)
    method = SOPPlus(problem(), 1.0, 2.0, consistency, balance, initial_std=0.3).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    u, v = list(method.samples.u.values[:, 0].clone()), list(method.samples.v.values.clone())
    _, labels = points()
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    for epoch in range(6):
        method.on_epoch_start(context(epoch))
        for index in batches(epoch):
            optimizer.zero_grad()
            method.step(_views(index), labels[index], index).loss.backward()
            optimizer.step()
            method.on_step_end()
        method.on_epoch_end(context(epoch))

    for epoch in range(6):
        for index in batches(epoch):
            x, x2 = _views(index)
            rates, weights = (ETA, 1.0, 2.0), {"consistency": consistency, "balance": balance}
            sop_step(f, x, labels[index], index.tolist(), u, v, *rates, x2=x2, **weights)
    torch.testing.assert_close(method.samples.u.values[:, 0], torch.stack(u), rtol=1e-8, atol=1e-20)
    torch.testing.assert_close(method.samples.v.values, torch.stack(v), rtol=1e-8, atol=1e-20)
    assert_same_weights(method.backbone, f, rtol=1e-8, atol=1e-12)


def test_the_first_view_is_recorded_and_the_loss_has_the_value_of_the_papers() -> None:
    torch.manual_seed(0)
    method = SOPPlus(problem(), initial_std=1e-8).double()
    _, labels = points()
    index = torch.arange(5)
    views = _views(index)
    step = method.step(views, labels[:5], index)
    first, second = method.backbone(views[0]), method.backbone(views[1])
    assert method.views == ("weak", "strong")
    assert step.logits.shape == (5, K)
    torch.testing.assert_close(step.logits, first)
    torch.testing.assert_close(step.losses, CrossEntropy()(first, labels[:5]))
    kl: Any = sum(consistency_loss(a, b) for a, b in zip(first, second, strict=True)) / 5
    balance: Any = balance_loss(list(first.softmax(1)))
    wrong = (first.argmax(1) != labels[:5]).double().mean() * 2
    torch.testing.assert_close(step.loss, step.losses.mean() + wrong + 0.9 * kl + 0.1 * balance)


def test_consistency_is_a_divergence() -> None:
    logits = torch.randn(4, K, generator=torch.Generator().manual_seed(0))
    assert kl_divergence(logits, logits).abs().max().item() < 1e-6
    assert kl_divergence(logits, -logits).min().item() > 0
    extreme = kl_divergence(torch.tensor([[1e4, 0, -1e4]]), torch.tensor([[0, 1e4, -1e4]]))
    assert extreme.isfinite().all()


Q = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1], [0.3, 0.4, 0.3]], dtype=torch.float64)


def test_balance_is_least_where_classes_are_predicted_equally_often() -> None:
    even = torch.eye(3) * 0.7 + 0.1
    assert imbalance(even).mean() < imbalance(Q).mean() < imbalance(even[:1]).mean()


def test_balance_has_the_value_and_gradient_of_the_batch_as_a_whole() -> None:
    ours, theirs = Q.clone().requires_grad_(), Q.clone().requires_grad_()
    expected: Any = balance_loss(list(theirs))
    torch.testing.assert_close(imbalance(ours).mean(), expected)
    for found, gradient in zip(
        torch.autograd.grad(imbalance(ours).mean(), ours), torch.autograd.grad(expected, theirs), strict=True
    ):
        torch.testing.assert_close(found, gradient)


def _value_and_gradient(rank: int) -> tuple[float, list[list[float]]]:
    q = Q[2 * rank : 2 * rank + 2].clone().requires_grad_()
    loss = imbalance(q).mean()
    return loss.item(), torch.autograd.grad(loss, q)[0].tolist()


def test_two_ranks_balance_the_batch_as_a_whole() -> None:
    found = on_two_ranks(_value_and_gradient)
    q = Q.clone().requires_grad_()
    whole = imbalance(q).mean()
    assert [value for value, _ in found] == pytest.approx([whole.item()] * 2)
    averaged = torch.tensor(found[0][1] + found[1][1], dtype=torch.float64) / 2  # as DistributedDataParallel does
    torch.testing.assert_close(averaged, torch.autograd.grad(whole, q)[0])


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_batch_of_one_class_is_enough(size: int) -> None:
    method = SOPPlus(problem()).double()
    index = torch.arange(size)
    step = method.step(_views(index), torch.zeros(size, dtype=torch.long), index)
    step.loss.backward()
    method.on_step_end()
    assert step.loss.isfinite()
    assert method.samples.u.values.isfinite().all()


@pytest.mark.parametrize("name", ["lr_u", "lr_v", "consistency", "balance", "initial_std"])
def test_a_value_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        SOPPlus(problem(), **{name: -1.0})  # type: ignore[arg-type]
