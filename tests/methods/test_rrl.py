import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.methods import RRL, EpochContext
from noisy_lightning.methods.rrl import neighbors_mean, with_given
from tests.methods.toys import B, K, N, batches, points, problem, sample_weights
from tests.reference import rrl as paper
from tests.reference.losses import softmax
from tests.reference.unicon import unit

ETA, EPOCHS, WIDTH, NEAR, TAU, LOW, HIGH, RAMP, WARM = 0.2, 5, 3, 6, 0.3, 0.45, 0.6, 3, 2


def _context(epoch: int, labels: Tensor | None = None) -> EpochContext:
    points_, given = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        output: Tensor = network(points_)
        return output

    return EpochContext(epoch, EPOCHS, given if labels is None else labels, predict)


def _views(index: Tensor) -> Tensor:
    """Return (2, B, 2): the strong view is farther off."""
    images = points()[0][index]
    return torch.stack([images, 1.2 * images.flip(1) + 0.1])


def _method(**arguments: Any) -> RRL:
    torch.manual_seed(0)
    made = {"width": WIDTH, "k": NEAR, "low": LOW, "high": HIGH, "prototype_ramp": RAMP, "warm_up": WARM}
    return RRL(problem(), **{**made, "correct_from": 2, **arguments}).double()


def test_walks_the_path_of_the_paper() -> None:
    method = _method()
    net = nn.ModuleList(copy.deepcopy([method.backbone[:2], method.backbone[2], method.embedding, method.decoder]))  # type: ignore[index]
    body, last, project, back = net
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    everything, labels = points()
    given = labels.tolist()

    def embed(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = body(x)
        return last(features), features, project(features)

    def decode(v: Tensor) -> list[Tensor]:
        return [value.clamp(min=0) for value in back(v)]

    soft, now, clean, prototypes = None, given, [True] * N, None
    kinds: set[tuple[bool, bool]] = set()
    number = 0
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        if epoch:
            outputs = [[value.detach() for value in embed(x)] for x in everything]
            z = [[value.item() for value in unit(v)] for _, _, v in outputs]
            if epoch >= 2:
                p = [[p_c.item() for p_c in softmax(logits)] for logits, _, _ in outputs]
                soft, now, clean = paper.correct(p, z, given, soft, NEAR, TAU, LOW, HIGH)
                kinds |= {(a == b, kept) for a, b, kept in zip(now, given, clean, strict=True)}
                torch.testing.assert_close(method.soft.values, torch.tensor(soft, dtype=torch.float64))
            prototypes = paper.class_means(z, now, clean, K)
        for batch in batches(epoch):
            views = _views(batch)
            step = method.step(views, labels[batch], batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            random = np.random.default_rng([int(method.seed), number])
            lam, kept = random.beta(8.0, 8.0), [clean[int(i)] for i in batch]
            rows = (i for i in range(2 * B) if kept[i % B])
            order = sorted(rows, key=lambda i: (int(batch[i % B]), i // B))
            permutation = random.permutation(len(order))
            loss = paper.rrl_loss(
                embed,
                decode,
                views[0],
                views[1],
                [now[int(i)] for i in batch],
                kept,
                prototypes,
                TAU,
                1 + 4 * min(epoch / RAMP, 1),
                lam,
                {i: order[permutation[place]] for place, i in enumerate(order)},
                warming=number < WARM,
            )
            number += 1
            assert step.loss.item() == pytest.approx(loss.item(), abs=1e-6)
            assert sample_weights(step) == [clean[i] and now[i] == given[i] for i in batch.tolist()]
            weights = list(net.parameters())
            gradients = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for weight, gradient in zip(weights, gradients, strict=True):
                    weight.sub_(ETA * gradient)
    assert len(kinds) == 4, "some labels are kept, some replaced, some samples of each kind are not clean"
    ours = [*method.backbone.parameters(), *method.embedding.parameters(), *method.decoder.parameters()]
    for mine, other in zip(ours, net.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=0)


def test_a_given_label_is_kept_where_it_has_more_than_the_threshold() -> None:
    soft = torch.tensor([[0.7, 0.3], [0.9, 0.1], [0.89, 0.11]])
    kept = with_given(soft, torch.tensor([0, 1, 1]), 0.1)
    torch.testing.assert_close(kept, torch.tensor([[1, 0], [0.9, 0.1], [0, 1]]))


@pytest.mark.parametrize("k", [1, 5, 100])
def test_neighbors_are_averaged_by_their_cosine_without_the_sample_itself(k: int) -> None:
    random = torch.Generator().manual_seed(0)
    z = F.normalize(torch.randn(12, 3, generator=random, dtype=torch.float64), dim=1)
    soft = torch.softmax(torch.randn(12, K, generator=random, dtype=torch.float64), 1)
    p = torch.zeros(12, K, dtype=torch.float64).tolist()
    new, _, _ = paper.correct(p, z.tolist(), [0] * 12, soft.tolist(), k, 0.3, 1.0, 0.9)
    torch.testing.assert_close(neighbors_mean(z, soft, k, 0.3) / 2, torch.tensor(new, dtype=torch.float64))
    assert neighbors_mean(z[:1], soft[:1], k, 0.3).equal(soft[:1])


def test_a_class_without_clean_samples_is_not_contrasted_with() -> None:
    method, labels = _method(warm_up=0), points()[1]
    method.on_epoch_start(_context(1, labels.clamp(max=1)))
    assert method.prototypes.any(1).tolist() == [True, True, False]
    index = torch.arange(B)
    step = method.step(_views(index), labels[index].clamp(max=1), index)
    step.loss.backward()
    assert step.loss.isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in method.parameters())


@pytest.mark.parametrize("size", [1, B])
def test_a_batch_without_clean_samples_still_contrasts_images(size: int) -> None:
    method, labels = _method(warm_up=0), points()[1]
    method.on_epoch_start(_context(1))
    method.clean.values.fill_(0)
    index = torch.arange(size)
    step = method.step(_views(index), labels[index], index)
    step.loss.backward()
    assert step.loss.isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in method.parameters())
    assert not any(sample_weights(step))


def test_no_clean_sample_at_all_leaves_no_prototypes() -> None:
    method, labels = _method(warm_up=0, low=1.0, high=1.0), points()[1]
    method.on_epoch_start(_context(3))
    assert not method.prototypes.any()
    assert method.scalars()["clean"] == 0
    assert method.step(_views(torch.arange(B)), labels[:B], torch.arange(B)).loss.isfinite()


def test_samples_outside_the_training_part_correct_nothing() -> None:
    method, labels = _method(), points()[1].clone()
    labels[20:] = -1
    method.on_epoch_start(_context(2, labels))
    assert (method.labels.values[20:] == -1).all()
    assert (method.labels.values[:20] >= 0).all()
    assert not method.soft.values[20:].any()


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": 0},
        {"warm_up": -1},
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"prototype_weight": -1.0},
        {"prototype_ramp": -1},
        {"correct_from": 0},
        {"k": 0},
        {"low": 1.1},
        {"high": -0.1},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)
