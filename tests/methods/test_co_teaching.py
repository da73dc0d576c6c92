import functools
from typing import Any

import pytest
import torch

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import CoTeaching
from tests.methods.toys import (
    B,
    assert_same_weights,
    batches,
    context,
    lookup,
    points,
    problem,
    sample_weights,
    training,
)
from tests.reference.co_teaching import co_teaching_step, forget_rate, loss_of

ETA = 0.5


@pytest.mark.parametrize("divide_twice", [False, True])
@pytest.mark.parametrize(("tau", "warm_up", "exponent"), [(0.45, 4, 1.0), (0.5, 3, 2.0), (0.2, 0, 1.0)])
def test_walks_the_path_of_the_paper(tau: float, warm_up: int, exponent: float, divide_twice: bool) -> None:
    torch.manual_seed(0)
    method = CoTeaching(problem(), tau, warm_up, exponent, divide_twice)
    f, g = problem().make_backbone(), problem().make_backbone()
    f.load_state_dict(method.first.state_dict())
    g.load_state_dict(method.second.state_dict())
    images, labels = points()
    for epoch, index, step in training(method, 6, ETA):
        forget = forget_rate(epoch, tau, warm_up, exponent)
        d_f, d_g = co_teaching_step(f, g, images[index], labels[index], forget, ETA, divide_twice)
        assert sample_weights(step) == [((i in d_f) + (i in d_g)) / 2 for i in range(B)]
    for ours, theirs in ((method.first, f), (method.second, g)):
        assert_same_weights(ours, theirs, rtol=1e-9, atol=1e-12)


def test_one_optimizer_walks_the_path_of_two() -> None:
    """Bit for bit, momentum and weight decay included."""
    images, labels = points()
    torch.manual_seed(0)
    one = CoTeaching(problem())
    torch.manual_seed(0)
    two = CoTeaching(problem())
    sgd = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)
    joint = sgd(one.parameters())
    pair = [sgd(network.parameters()) for network in (two.first, two.second)]
    for epoch in range(3):  # before the networks are asked what they have not learned
        for method in (one, two):
            method.on_epoch_start(context(epoch))
        for index in batches(epoch):
            joint.zero_grad()
            one.step(images[index], labels[index], index).loss.backward()
            joint.step()
            for network in (two.first, two.second):
                loss = two.step(images[index], labels[index], index).loss  # before either has moved
                weights = list(network.parameters())
                for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    weight.grad = gradient
            for optimizer in pair:
                optimizer.step()
    for name, value in one.state_dict().items():
        assert value.equal(two.state_dict()[name]), name


def test_each_network_learns_what_the_other_selects() -> None:
    method = _fixed([[4.0, 0, 0], [0, 4.0, 0]], [[0, 4.0, 0], [4.0, 0, 0]])
    step = method.step(torch.tensor([0, 1]), torch.tensor([0, 0]), torch.arange(2))
    assert sample_weights(step) == [0.5, 0.5]
    step.loss.backward()
    gradients: list[Any] = [network.weight.grad for network in (method.first, method.second)]
    assert [gradient.abs().sum(1).gt(0).tolist() for gradient in gradients] == [[False, True], [True, False]]


def test_records_the_mean_loss_of_both_and_the_first_networks_logits() -> None:
    torch.manual_seed(0)
    method = CoTeaching(problem())
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    pairs = zip(images[:4], labels[:4], strict=True)
    expected = [(loss_of(method.first, x, y) + loss_of(method.second, x, y)) / 2 for x, y in pairs]
    torch.testing.assert_close(step.losses, torch.stack(expected))
    assert step.logits.equal(method.first(images[:4]))
    assert method(images).equal(method.first(images))
    assert method.networks() == {"second": method.second}
    assert not method.first(images).equal(method.second(images))


def test_any_loss_ranks_and_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = CoTeaching(problem(loss), forget_rate=0.5, warm_up=0)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    first, second = (loss(network(images[:4]), labels[:4]) for network in (method.first, method.second))
    expected = first[second.argsort()[:2]].mean() + second[first.argsort()[:2]].mean()
    torch.testing.assert_close(step.loss, expected)


def test_a_nan_teaches_nobody_and_nothing_but_nan_shows() -> None:
    nan = float("nan")
    method = _fixed([[nan] * 3, [1.0, 0, 0], [0, 2.0, 0]], [[nan] * 3, [0, 1.0, 0], [2.0, 0, 0]])
    labels = torch.tensor([0, 0, 1])
    step = method.step(torch.arange(3), labels, torch.arange(3))
    assert sample_weights(step) == [0, 0.5, 0.5]
    step.loss.backward()
    assert step.loss.isfinite()
    gradients: list[Any] = [network.weight.grad for network in (method.first, method.second)]
    assert all(gradient[1:].isfinite().all() for gradient in gradients)
    assert method.step(torch.tensor([0]), labels[:1], torch.arange(1)).loss.isnan()


def _fixed(first: list[list[float]], second: list[list[float]]) -> CoTeaching:
    """Return the method with networks that look up their logits, and half of a batch to forget."""
    method = CoTeaching(lookup(first, second), forget_rate=0.5, warm_up=0)
    method.on_epoch_start(context(0))
    return method
