"""What Co-teaching, Co-teaching+ and JoCoR share."""

from typing import Any

import pytest
import torch

from noisy_lightning.methods import CoTeaching, CoTeachingPlus, JoCoR
from tests.methods.toys import K, N, context, points, problem, sample_weights

Kind = type[CoTeaching | CoTeachingPlus | JoCoR]
each_kind = pytest.mark.parametrize("kind", [CoTeaching, CoTeachingPlus, JoCoR])


@each_kind
def test_while_the_rate_is_measured_a_network_learns_nothing_from_what_it_holds_out(kind: Kind) -> None:
    """These labels change nothing in it; afterward, all labels do."""
    images, labels = points()
    for epoch in (0, 6):
        torch.manual_seed(0)
        method = kind(problem())
        assert not method.oracle
        held_out = method.forgetting.of_first.held_out
        if epoch:
            method.forgetting.estimate.fill_(0.1)
        gradients = []
        for others in (labels, torch.where(held_out, (labels + 1) % K, labels)):
            method.zero_grad()
            method.on_epoch_start(context(epoch))
            method.step(images, others, torch.arange(N)).loss.backward()
            weights = [torch.cat([w.grad.flatten() for w in f.parameters()]) for f in (method.first, method.second)]  # type: ignore[union-attr]
            gradients.append(weights)
        (first, second), (first_after, second_after) = gradients
        assert first.equal(first_after) == (epoch == 0)
        assert not second.equal(second_after)
        assert first.any()


@each_kind
def test_a_batch_that_one_network_holds_out_teaches_the_other(kind: Kind) -> None:
    method = kind(problem())
    method.on_epoch_start(context(0))
    images, labels = points()
    index = method.forgetting.of_second.held_out.nonzero().flatten()[:4]
    step = method.step(images[index], labels[index], index)
    step.loss.backward()
    assert step.loss.isfinite()
    moved = [any(bool(w.grad.any()) for w in f.parameters()) for f in (method.first, method.second)]  # type: ignore[union-attr]
    assert moved == [True, False]


@each_kind
def test_a_method_that_is_given_the_rate_is_an_oracle(kind: Kind) -> None:
    method = kind(problem(), 0.2)
    assert method.oracle
    assert list(method.scalars()) == ["forget_rate"]
    assert not any("losses" in name for name in method.state_dict())


@each_kind
@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_still_teaches(kind: Kind, size: int) -> None:
    method = kind(problem(), forget_rate=0.9, warm_up=0)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:size], labels[:size], torch.arange(size))
    assert step.loss.isfinite()
    assert sum(sample_weights(step)) == 1


@each_kind
@pytest.mark.parametrize("arguments", [{"forget_rate": 1.0}, {"warm_up": -1}, {"exponent": 0.0}])
def test_a_value_out_of_range_is_refused(kind: Kind, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kind(problem(), **arguments)
