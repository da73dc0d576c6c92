import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.methods import SSR, EpochContext, SSRPlus
from noisy_lightning.methods.parts.selection_relabeling import confirmed, relabeled
from tests.methods.toys import B, K, N, assert_same_weights, batches, points, problem, sample_weights
from tests.reference import ssr as paper

ETA, EPOCHS = 0.3, 5
PROBLEM = replace(problem(), make_backbone=lambda: nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, K)))


def _images() -> Tensor:
    return points()[0].float()


def _context(epoch: int, labels: Tensor | None = None) -> EpochContext:
    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert augmented
        output: Tensor = network(0.9 * _images())
        return output

    return EpochContext(epoch, EPOCHS, points()[1] if labels is None else labels, predict)


def _views(index: Tensor, number: int) -> Tensor:
    images = _images()[index]
    return torch.stack([images, 1.1 * images + 0.05, 0.8 * images - 0.1][:number])


def _mixing(seed: int, number: int, rows: list[int]) -> tuple[float, list[int]]:
    """Return the share and the partners of rows that are kept, by their places, as documented."""
    random = np.random.default_rng([seed, number])
    draw, permutation = random.beta(4.0, 4.0), random.permutation(len(rows))
    order = sorted(rows)
    return max(draw, 1 - draw), [rows.index(order[permutation[order.index(row)]]) for row in rows]


def _epoch_of_the_paper(f: Any, y: list[int]) -> tuple[list[int], list[bool]]:
    with torch.no_grad():
        p = f(0.9 * _images()).softmax(1).tolist()
        z = f[:-1](0.9 * _images()).tolist()
    labels = paper.relabel(y, p, 0.5)
    return labels, paper.select(paper.votes(z, labels, 8, K, True), labels, 1.0)


@pytest.mark.parametrize("plus", [False, True])
def test_walks_the_path_of_the_paper(plus: bool) -> None:
    torch.manual_seed(0)
    method: SSR | SSRPlus = (
        SSRPlus(PROBLEM, 0.5, neighbours=8, consistency=0.5, hidden=4, width=3)
        if plus
        else SSR(PROBLEM, 0.5, neighbours=8)
    )
    theirs = copy.deepcopy(method)
    f: Any = theirs.backbone
    modules = [f, theirs.projection, theirs.prediction] if isinstance(theirs, SSRPlus) else [f]
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    y, number, changed = points()[1], 0, 0
    for epoch in range(EPOCHS):
        labels, kept = _epoch_of_the_paper(f, y.tolist())
        weights = paper.weights(labels, kept, K)
        before = f(0.9 * _images()).detach()
        method.on_epoch_start(_context(epoch))
        changed += sum(a != b for a, b in zip(labels, y.tolist(), strict=True))
        assert method.scalars()["kept"].item() == pytest.approx(sum(kept) / N)
        different = sum(a != b for a, b in zip(labels, y.tolist(), strict=True)) / N
        assert method.scalars()["relabelled"].item() == pytest.approx(different)
        assert 0 < sum(kept) < N
        for batch in batches(epoch):
            views = _views(batch, 3 if plus else 2)
            rows = [(v, i) for v in range(2) for i in batch.tolist() if kept[i]]
            share, partner = _mixing(int(method.random.seed), number, [2 * i + v for v, i in rows])
            images = [views[v][batch.tolist().index(i)] for v, i in rows]
            objective = paper.mixed_objective(
                f, images, [labels[i] for _, i in rows], [weights[i] for _, i in rows], share, partner
            )
            if isinstance(theirs, SSRPlus):
                objective = objective + 0.5 * paper.consistency_objective(
                    f[:-1], theirs.projection, theirs.prediction, views[0], views[2]
                )
            number += 1
            step = method.step(views, y[batch], batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            assert step.loss.item() == pytest.approx(paper.step(modules, objective, ETA), abs=1e-4)
            assert sample_weights(step) == [kept[i] and labels[i] == y[i] for i in batch.tolist()]
            torch.testing.assert_close(step.logits, before[batch], rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(
                step.losses, nn.functional.cross_entropy(step.logits, y[batch], reduction="none")
            )
    assert changed > 0
    assert_same_weights(method, theirs, rtol=1e-3, atol=1e-3)


def test_relabeling_starts_from_the_given_labels_each_epoch() -> None:
    torch.manual_seed(0)
    method, given = SSR(PROBLEM, 0.8, neighbours=8), points()[1]
    sure = torch.eye(K)[(given + 1) % K] * 9

    def predict(table: Tensor) -> Any:
        return lambda *_, **__: torch.cat([table, _images()], 1)

    method.on_epoch_start(EpochContext(0, EPOCHS, given, predict(sure)))
    assert method.labels.values.equal((given + 1) % K)
    assert method.scalars()["relabelled"] == 1
    method.on_epoch_start(EpochContext(1, EPOCHS, given, predict(0 * sure)))
    assert method.labels.values.equal(given)


def test_only_a_probability_above_the_threshold_relabels() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.91, 0.09], [0.2, 0.8], [0.02, 0.98]]).log()
    assert relabeled(torch.tensor([1, 1, 0, 0]), logits, 0.9001).tolist() == [1, 0, 0, 1]


def test_a_label_is_confirmed_by_its_share_of_the_most_votes() -> None:
    votes = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.3, 0.2], [0.4, 0.35, 0.25], [0.0, 0.0, 1.0]])
    labels = torch.tensor([1, 1, 1, 2])
    assert confirmed(votes, labels, 1.0).tolist() == [True, False, False, True]
    assert confirmed(votes, labels, 0.8).tolist() == [True, False, True, True]
    assert confirmed(votes, labels, 0.0).all()


@pytest.mark.parametrize("kind", [SSR, SSRPlus])
@pytest.mark.parametrize("keep", [0, 1, B])
def test_a_batch_of_which_little_is_kept_gives_each_weight_a_gradient(kind: type[SSR | SSRPlus], keep: int) -> None:
    torch.manual_seed(0)
    method = kind(PROBLEM, neighbours=8)
    method.on_epoch_start(_context(0))
    method.weights.values.zero_()
    method.weights.values[:keep] = 1
    index = torch.arange(B)
    step = method.step(_views(index, len(method.views)), points()[1][index], index)
    step.loss.backward()
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    learns = any(gradient is not None and gradient.any() for gradient in gradients)
    assert learns == (keep > 0 or kind is SSRPlus)


def test_features_that_are_not_finite_keep_all_given_labels() -> None:
    torch.manual_seed(0)
    method, given = SSR(PROBLEM), points()[1]

    def predict(*_: Any, **__: Any) -> Tensor:
        output = torch.zeros(N, K + 5)
        output[3, K + 1] = float("nan")
        return output

    with pytest.warns(UserWarning, match="all given labels are used"):
        method.on_epoch_start(EpochContext(0, EPOCHS, given, predict))
    assert method.labels.values.equal(given)
    assert method.scalars()["kept"] == 1
    assert method.logits.values.isfinite().all()


def test_samples_outside_the_training_part_neither_vote_nor_count() -> None:
    torch.manual_seed(0)
    method, labels = SSR(PROBLEM, 0.8, neighbours=8), points()[1].clone()
    labels[N // 2 :] = -1
    method.on_epoch_start(_context(0, labels))
    assert not method.weights.values[N // 2 :].any()
    kept = method.weights.values[: N // 2] > 0
    assert method.scalars()["kept"].item() == pytest.approx(kept.float().mean().item())
    with torch.no_grad():
        z = method.backbone[:-1](0.9 * _images()[: N // 2]).tolist()  # type: ignore[index]
    now = method.labels.values[: N // 2].tolist()
    assert kept.tolist() == paper.select(paper.votes(z, now, 8, K, True), now, 1.0)


def test_votes_may_stay_as_they_are() -> None:
    torch.manual_seed(0)
    method, given = SSR(PROBLEM, 1.0, neighbours=8, balance_votes=False), points()[1]
    method.on_epoch_start(_context(0))
    with torch.no_grad():
        z = method.backbone[:-1](0.9 * _images()).tolist()  # type: ignore[index]
    expected = paper.select(paper.votes(z, given.tolist(), 8, K, False), given.tolist(), 1.0)
    assert (method.weights.values > 0).tolist() == expected


def test_no_gradient_flows_through_the_weak_view() -> None:
    torch.manual_seed(0)
    method = SSRPlus(PROBLEM, neighbours=8)
    views = _views(torch.arange(B), 3).requires_grad_()
    method._distance(views[0], views[2]).backward()
    assert views.grad is not None
    assert views.grad[0].any()
    assert not views.grad[2].any()


@pytest.mark.parametrize(
    "arguments",
    [
        {"relabel_threshold": 1.1},
        {"selection_threshold": -0.1},
        {"neighbours": 0},
        {"alpha": 0.0},
        {"consistency": -1.0},
        {"hidden": 0},
        {"width": 0},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SSRPlus(PROBLEM, **arguments)
