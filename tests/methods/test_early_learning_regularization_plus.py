import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, TruncatedGeneralizedCrossEntropy
from noisy_lightning.methods import EarlyLearningRegularizationPlus, Problem
from noisy_lightning.methods.early_learning_regularization_plus import ramp, refined
from tests.methods.toys import (
    B,
    K,
    N,
    context,
    points,
    problem,
    training,
)
from tests.reference.elr_plus import elr_plus_step, rampup
from tests.reference.stochastic_label_noise import follow

ETA = 0.3


def _mixing(seed: int, batch: int, index: list[int]) -> list[tuple[float, list[int]]]:
    """Return share and partners of both networks, as documented."""
    random = np.random.default_rng([seed, batch])
    mixing = []
    for _ in range(2):
        draw = random.beta(1.0, 1.0)
        ordered, permutation = sorted(index), random.permutation(len(index))
        partners = [index.index(ordered[permutation[ordered.index(i)]]) for i in index]
        mixing.append((max(draw, 1 - draw), partners))
    return mixing


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize(("ramp_steps", "strength_ramp_steps"), [(10, 6), (0, 0)])
def test_walks_the_path_of_the_authors_code(ramp_steps: int, strength_ramp_steps: int, refine: bool) -> None:
    torch.manual_seed(0)
    method = EarlyLearningRegularizationPlus(
        problem(), 0.6, 2.0, 1.0, 0.9, ramp_steps, strength_ramp_steps, refine_labels=refine
    )
    nets = [copy.deepcopy(network) for network in method.networks().values()]
    emas = [copy.deepcopy(network) for network in nets]
    ts = [[[0.0] * K for _ in range(N)] for _ in range(2)]
    images, labels = points()
    for t, (_, batch, step) in enumerate(training(method, 5, ETA), start=1):
        index = batch.tolist()
        mixing = _mixing(int(method.seed), t - 1, index)
        lam = 2.0 * rampup(t, strength_ramp_steps)
        loss = elr_plus_step(nets, emas, images[batch], labels[batch], index, ts, mixing, 0.6, lam, refine, ETA)
        assert step.loss.item() == pytest.approx(loss, rel=1e-5)
        for ema, net in zip(emas, nets, strict=True):
            follow(ema, net, 0.9 * rampup(t + 1, ramp_steps))
    ours = (method.first, method.second, method.first_average.network, method.second_average.network)
    for network, other in zip(ours, [*nets, *emas], strict=True):
        for weight, expected in zip(network.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-5, atol=1e-6)
    against = 0
    for memory, values in zip((method.first_targets, method.second_targets), ts, strict=True):
        torch.testing.assert_close(memory.values, torch.tensor(values), rtol=1e-5, atol=1e-6)
        against += sum(v.index(max(v)) != y for v, y in zip(values, labels.tolist(), strict=True))
    assert against > 0
    assert method.scalars()["contradicted"].item() == pytest.approx(against / (2 * N))


def test_draws_differ_by_network_batch_and_seed() -> None:
    seen = []
    for _ in range(2):
        inputs: list[tuple[nn.Module, Tensor]] = []
        method = EarlyLearningRegularizationPlus(_recording(inputs))
        index = torch.arange(4)
        for _ in range(2):
            method.step(torch.eye(4), torch.zeros(4, dtype=torch.long), index)
        trained = [tuple(image.flatten().tolist()) for network, image in inputs if network.training]
        assert len(trained) == 4
        seen += trained
    assert len(set(seen)) == 8


def _recording(inputs: list[tuple[nn.Module, Tensor]]) -> Problem:
    """Return a problem whose networks note what they get."""

    class Noting(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            inputs.append((self, input))
            return super().forward(input)

    return Problem(lambda: Noting(4, K), CrossEntropy(), K, 4)


def test_without_mixing_it_is_elr_on_the_others_average() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = EarlyLearningRegularizationPlus(problem(loss), beta=0.0, strength=2.0, mixup=0.0)
    images, labels = points()
    step = method.step(images[:B], labels[:B], torch.arange(B))
    p = [network(images[:B]).softmax(1) for network in (method.first, method.second)]
    regularizer = 2 * (1 - (p[0] * p[1]).sum(1)).log()  # at first each average is its network
    expected = sum(loss(p_n.log(), labels[:B]) + regularizer for p_n in p)
    torch.testing.assert_close(step.loss, torch.as_tensor(expected).mean(), rtol=1e-6, atol=1e-6)


def test_what_is_evaluated_and_recorded() -> None:
    torch.manual_seed(0)
    method = EarlyLearningRegularizationPlus(problem())
    images, labels = points()
    before = copy.deepcopy(method)
    with torch.no_grad():
        for weight in [*method.first.parameters(), *method.second.parameters()]:
            weight.add_(1)
    expected = (method.first(images) + method.second(images)) / 2
    torch.testing.assert_close(method(images), expected)
    step = method.step(images[:B], labels[:B], torch.arange(B))
    clean = [network(images[:B]) for network in (before.first, before.second)]
    torch.testing.assert_close(step.logits, (clean[0] + clean[1]) / 2)
    losses = [CrossEntropy()(logits, labels[:B]) for logits in clean]
    torch.testing.assert_close(step.losses, (losses[0] + losses[1]) / 2)
    assert list(method.networks()) == ["first", "second"]


def test_the_momentum_rises() -> None:
    assert ramp(0, 100) == pytest.approx(math.exp(-5))
    assert [ramp(step, 100) for step in (100, 101)] == [1, 1]
    assert ramp(50, 100) == pytest.approx(rampup(50, 100)) == pytest.approx(math.exp(-1.25))
    assert ramp(1, 0) == 1


def test_a_label_without_a_class_in_common_with_its_target_stays() -> None:
    label = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0]])
    target = torch.tensor([[0.6, 0.2, 0.2], [0.0, 0, 1]])
    torch.testing.assert_close(refined(label, target), torch.tensor([[0.75, 0.25, 0], [0.5, 0.5, 0]]))


@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_teaches(size: int) -> None:
    method = EarlyLearningRegularizationPlus(problem())
    images, labels = points()
    step = method.step(images[:size], labels[:size], torch.arange(size))
    assert step.loss.isfinite()
    assert step.losses.shape == (size,)


def test_a_nan_shows_and_is_not_remembered() -> None:
    method = EarlyLearningRegularizationPlus(problem())
    images, labels = points()
    images[0] = math.nan
    assert method.step(images[:B], labels[:B], torch.arange(B)).loss.isnan()
    assert method.first_targets.values.isfinite().all()
    method.on_epoch_end(replace(context(0)))
    assert method.scalars()["contradicted"].isfinite()


def test_a_loss_of_hard_labels_is_refused() -> None:
    with pytest.raises(InputError, match="TruncatedGeneralizedCrossEntropy does not go with this method"):
        EarlyLearningRegularizationPlus(problem(TruncatedGeneralizedCrossEntropy()))


@pytest.mark.parametrize(
    "arguments",
    [
        {"beta": 1.0},
        {"strength": -1.0},
        {"mixup": -0.1},
        {"momentum": 1.0},
        {"ramp_steps": -1},
        {"strength_ramp_steps": -1},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        EarlyLearningRegularizationPlus(problem(), **arguments)
