import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.methods import PES, EpochContext
from noisy_lightning.methods.parts.semi_supervised import confident
from tests.methods.toys import K, N, assert_same_weights, batches, points, problem, sample_weights, train
from tests.reference import pes as paper

ETA, EPOCHS = 0.3, 8


def _views(network: nn.Module) -> list[Tensor]:
    return [network(factor * points()[0]).detach() for factor in (0.8, 1.2)]


def _context(epoch: int, tables: list[Tensor] | None = None) -> EpochContext:
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert augmented
        return (tables or _views(network))[view].float()

    return EpochContext(epoch, EPOCHS, points()[1], predict)


def _tables(views: list[Tensor], labels: Tensor) -> EpochContext:
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        return views[view]

    return EpochContext(0, 1, labels, predict)


def _method(**arguments: Any) -> PES:
    torch.manual_seed(0)
    made = {"warm_up": 2, "stage_epochs": 2, "classifier_epochs": 1, "retraining_lr": 0.02, **arguments}
    return PES(problem(), **made)


def test_walks_the_path_of_the_paper() -> None:
    method = _method()
    f: Any = copy.deepcopy(method.backbone)
    new = [list(snapshot.buffers()) for snapshot in method.retraining.new_weights]
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA, momentum=0.0, weight_decay=0.0)
    images, labels = points()
    kept = set()
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        if epoch in {2, 4}:
            with torch.no_grad():
                f[2].weight.copy_(new[epoch == 4][0])
                f[2].bias.copy_(new[epoch == 4][1])
            adam = paper.Adam(f[2].parameters(), 0.02)
        if epoch >= 5:
            clean = paper.confident([z.softmax(1).tolist() for z in _views(f)], labels.tolist())
            w = paper.class_weights(labels.tolist(), clean, K)
            assert method.scalars()["confident"].item() == pytest.approx(sum(clean) / N)
            kept |= set(clean)
        for batch in batches(epoch):
            x, y = images[batch], labels[batch]
            step = method.step(x, y, batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            method.on_step_end()
            if epoch < 2:
                expected = paper.step(f, paper.mean_loss(f, x, y), ETA)
            elif epoch < 5:
                expected = paper.tail_step(adam, paper.mean_loss(f, x, y))
            else:
                now = [clean[i] for i in batch.tolist()]
                expected = paper.step(f, paper.confident_objective(f, x, y, now, w), ETA)
                assert sample_weights(step) == now
            assert step.loss.item() == pytest.approx(expected, rel=1e-4)
        method.on_epoch_end(_context(epoch))
    assert kept == {True, False}
    assert_same_weights(method.backbone, f, rtol=1e-4, atol=1e-5)


def test_the_classifier_gets_other_new_weights_the_second_time() -> None:
    method = _method()
    images, weights = points()[0], []
    for epoch in (2, 4):
        method.on_epoch_start(_context(epoch))
        weights.append(method.backbone(images).detach())
    first, second = (list(snapshot.buffers()) for snapshot in method.retraining.new_weights)
    assert not any(one.equal(other) for one, other in zip(first[-2:], second, strict=True))
    assert not weights[0].equal(weights[1])


def test_after_the_warm_up_only_the_tail_changes_and_later_all_do() -> None:
    method = _method()
    train(method, 2, ETA, _context)
    network: Any = method.backbone
    layer, head = (network[at].weight for at in (0, 2))
    before, classifier = layer.clone(), head.clone()
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA, momentum=0.9, weight_decay=0.1)
    images, labels = points()
    for epoch in range(2, 6):
        method.on_epoch_start(_context(epoch))
        for batch in batches(epoch):
            optimizer.zero_grad()
            method.step(images[batch], labels[batch], batch).loss.backward()
            optimizer.step()
            method.on_step_end()
        assert layer.equal(before) == (epoch < 5)
        assert not head.equal(classifier)


TABLES = [  # of which the means have the largest value in classes 0, 1, 2, 0, 1
    [[0.6, 0.3, 0.1], [0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1], [0.0, 0.6, 0.4]],
    [[0.4, 0.5, 0.1], [0.1, 0.9, 0.0], [0.3, 0.3, 0.4], [0.9, 0.0, 0.1], [0.1, 0.4, 0.5]],
]


def test_confident_samples_are_those_of_a_table_made_by_hand() -> None:
    views = [torch.tensor(table).log() for table in TABLES]
    labels = torch.tensor([0, 1, 2, 1, -1])
    context = _tables(views, labels)
    assert confident(context, nn.Identity()).tolist() == [True, True, True, False, False]
    assert paper.confident(TABLES, labels.tolist()) == [True, True, True, False, False]


def test_predictions_that_are_not_finite_are_not_confident() -> None:
    views = [torch.tensor(table).log() for table in TABLES]
    views[1][0, 1] = float("nan")
    context = _tables(views, torch.tensor([0, 1, 2, 1, -1]))
    assert confident(context, nn.Identity()).tolist() == [False, True, True, False, False]


def test_classes_weigh_as_their_confident_samples_are_rare() -> None:
    method, labels = _method(warm_up=0, stage_epochs=0, classifier_epochs=0), points()[1]
    logits = torch.nn.functional.one_hot(labels, K).float()
    wrong = (labels == 0).nonzero().squeeze(1)[1:]  # of class 0, one sample is confident
    logits[wrong] = logits[wrong].roll(1, 1)
    logits[labels == 2] = torch.tensor([1.0, 0, 0])  # and none of class 2
    method.on_epoch_start(_context(0, [logits, logits]))
    counts = [1, int((labels == 1).sum()), 0]
    mean = (counts[0] + counts[1]) / 2
    expected = [0.0] * N
    for i, (y, z) in enumerate(zip(labels.tolist(), logits.argmax(1).tolist(), strict=True)):
        expected[i] = mean / counts[y] if y == z else 0.0
    assert method.weights.values.tolist() == pytest.approx(expected)


def test_without_a_confident_sample_all_are_used() -> None:
    method, labels = _method(warm_up=0, stage_epochs=0, classifier_epochs=0), points()[1]
    logits = torch.nn.functional.one_hot((labels + 1) % K, K).float()
    with pytest.warns(UserWarning, match="all labels are used for an epoch"):
        method.on_epoch_start(_context(0, [logits, logits]))
    assert method.scalars()["confident"] == 1
    assert (method.weights.values > 0).all()


def test_a_batch_without_confident_samples_teaches_nothing() -> None:
    method = _method(warm_up=0, stage_epochs=0, classifier_epochs=0)
    method.on_epoch_start(_context(0))
    method.weights.values.zero_()
    index = torch.arange(4)
    step = method.step(points()[0][index], points()[1][index], index)
    step.loss.backward()
    assert step.loss == 0
    assert all(weight.grad is not None and not weight.grad.any() for weight in method.parameters())


@pytest.mark.parametrize(
    "arguments", [{"warm_up": -1}, {"stage_epochs": -1}, {"classifier_epochs": -1}, {"retraining_lr": 0.0}]
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)
