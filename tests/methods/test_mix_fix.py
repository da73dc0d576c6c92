import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import EpochContext, MixFix
from noisy_lightning.methods.mix_fix import balancing_weights, fixed, partners
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from tests.methods.toys import B, K, N, batches, points, problem, sample_weights
from tests.reference import mix_fix as paper
from tests.reference.losses import softmax

ETA, EPOCHS, ABSORB, RELABEL = 0.5, 5, 0.5, 0.6
OTHERS = torch.arange(N) % 3 != 0


def _context(epoch: int, candidates: Tensor | None = OTHERS) -> EpochContext:
    points_, labels = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        assert index is not None
        output: Tensor = network(points_[index])
        return output

    return EpochContext(epoch, EPOCHS, labels, predict, candidates)


def _method(**arguments: Any) -> MixFix:
    torch.manual_seed(0)
    return MixFix(problem(), **{"absorb": ABSORB, "relabel": RELABEL, **arguments}).double()


def test_walks_the_path_of_the_specification() -> None:
    method = _method()
    f = copy.deepcopy(method.backbone)
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    images, labels = points()
    kinds: set[str] = set()
    number = 0
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        y: list[int | None] = []
        for i in range(N):
            p = [p_c.item() for p_c in softmax(f(images[i]))]
            y.append(paper.fix(p, int(labels[i]), ABSORB, RELABEL) if OTHERS[i] else int(labels[i]))
            if OTHERS[i]:
                kinds.add("rest" if y[i] is None else "absorbed" if y[i] == labels[i] else "relabeled")
        w = paper.class_weights([y_i for y_i in y if y_i is not None], K)
        logged = method.scalars()
        assert logged["used"].item() == pytest.approx(sum(y_i is not None for y_i in y) / N)
        changed = [y_i not in (None, int(label)) for y_i, label in zip(y, labels, strict=True)]
        assert logged["relabelled"].item() == pytest.approx(sum(changed) / N)
        for batch in batches(epoch):
            step = method.step(images[batch], labels[batch], batch)
            now = [y[int(i)] for i in batch]
            random = np.random.default_rng([int(method.seed), number])
            number += 1
            share = random.beta(4.0, 4.0)
            order = sorted((i for i in range(B) if now[i] is not None), key=lambda i: int(batch[i]))
            odds = np.array([w[now[i]] for i in order])
            drawn = random.choice(len(order), len(order), p=odds / odds.sum())
            partner = {i: order[drawn[place]] for place, i in enumerate(order)}
            loss = paper.batch_loss(f, images[batch], now, w, max(share, 1 - share), partner)
            assert step.loss.item() == pytest.approx(loss.item(), abs=1e-6)
            assert sample_weights(step) == [
                y_i == given for y_i, given in zip(now, labels[batch].tolist(), strict=True)
            ]
            torch.testing.assert_close(step.losses, CrossEntropy()(f(images[batch]), labels[batch]))
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            weights = list(f.parameters())
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(ETA * gradient)
    assert kinds == {"absorbed", "relabeled", "rest"}
    for mine, other in zip(method.backbone.parameters(), f.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


def test_thresholds_may_be_reached_exactly() -> None:
    p = torch.tensor([[1.0, 0.0], [0.8, 0.2], [0.79, 0.21], [0.9, 0.1], [0.89, 0.11], [float("nan")] * 2])
    labels = torch.tensor([0, 0, 0, 1, 1, 0])
    assert fixed(p, labels, 0.8, 0.9).tolist() == [0, 0, -1, 0, -1, -1]
    assert fixed(p, labels, 1.0, 1.0).tolist() == [0, -1, -1, -1, -1, -1]


def test_each_class_that_is_there_weighs_alike() -> None:
    labels = torch.tensor([0] * 6 + [1] * 2 + [3] + [-1] * 4)
    weights = balancing_weights(labels, 5)
    expected = paper.class_weights([0] * 6 + [1] * 2 + [3], 5)
    assert weights.tolist() == pytest.approx([expected[y] if y >= 0 else 0 for y in labels.tolist()])
    assert [weights[labels == k].sum().item() for k in (0, 1, 3)] == pytest.approx([3, 3, 3])
    assert not balancing_weights(torch.full((3,), -1), 2).any()


def test_partners_are_drawn_from_each_class_alike() -> None:
    memory = SampleMemory(10)
    memory.values.copy_(balancing_weights(torch.tensor([0] * 8 + [1] * 2), 2))
    index = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    random = np.random.default_rng(0)
    drawn = torch.cat([partners(index, index, memory, random) for _ in range(200)])
    assert (drawn >= 8).float().mean().item() == pytest.approx(0.5, abs=0.05)
    one, two = (partners(part, index, memory, np.random.default_rng(1)) for part in (index[:4], index[4:]))
    assert torch.cat([one, two]).equal(partners(index, index, memory, np.random.default_rng(1)))


def test_all_are_clean_without_a_selection() -> None:
    method, labels = _method(), points()[1]
    method.on_epoch_start(_context(0, None))
    assert method.labels.values.equal(labels)
    assert method.scalars()["used"] == 1


def test_samples_outside_the_training_part_do_not_take_part() -> None:
    method, labels = _method(absorb=0.0, relabel=0.0), points()[1].clone()
    labels[N // 2 :] = -1
    method.on_epoch_start(replace(_context(0), labels=labels))
    assert (method.labels.values[N // 2 :] == -1).all()
    assert not method.weights.values[N // 2 :].any()
    assert method.scalars()["used"] == 1


@pytest.mark.parametrize("size", [1, B])
def test_a_batch_of_which_nothing_takes_part_teaches_nothing(size: int) -> None:
    method, labels = _method(), points()[1]
    method.on_epoch_start(_context(0))
    method.labels.values.fill_(-1)
    index = torch.arange(size)
    step = method.step(points()[0][index], labels[index], index)
    step.loss.backward()
    assert step.loss == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in method.parameters())


@pytest.mark.parametrize("arguments", [{"absorb": 1.1}, {"relabel": -0.1}, {"alpha": 0.0}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)
