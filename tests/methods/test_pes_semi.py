import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.methods import EpochContext, PESSemi, Problem
from tests.methods.toys import BATCHES, B, K, N, assert_same_weights, batches, points, problem, sample_weights
from tests.networks import Random
from tests.reference import pes as paper
from tests.reference.divide_mix import lambda_u
from tests.reference.losses import one_hot

ETA, EPOCHS, WARM_UP, RETRAINING, RAMP = 0.3, 8, 1, 1, 3


def _predictions(network: nn.Module) -> list[Tensor]:
    return [network(factor * points()[0]).detach() for factor in (0.8, 1.2)]


def _context(epoch: int) -> EpochContext:
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert augmented
        return _predictions(network)[view].float()

    return EpochContext(epoch, EPOCHS, points()[1], predict)


def _views(index: Tensor) -> Tensor:
    images = points()[0][index]
    return torch.stack([images, 1.1 * images + 0.05])


def _method(**arguments: Any) -> PESSemi:
    torch.manual_seed(0)
    made = {"warm_up": WARM_UP, "classifier_epochs": RETRAINING, "retraining_lr": 0.02, "ramp": RAMP, **arguments}
    return PESSemi(problem(), **made)


def test_walks_the_path_of_the_paper() -> None:
    method = _method(unlabelled_weight=6.0)
    f: Any = copy.deepcopy(method.backbone)
    (new,) = method.retraining.new_weights
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    y = points()[1]
    number, kinds = 0, set()
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        if epoch == WARM_UP:
            with torch.no_grad():
                f[2].weight.copy_(new.value_0)
                f[2].bias.copy_(new.value_1)
            adam = paper.Adam(f[2].parameters(), 0.02)
        begin = WARM_UP + RETRAINING
        if epoch >= begin:
            clean = paper.confident([z.softmax(1).tolist() for z in _predictions(f)], y.tolist())
            w = [min(w_c, 3.0) for w_c in paper.class_weights(y.tolist(), clean, K)]
            assert method.balance.tolist() == pytest.approx(w)
            assert method.scalars()["confident"].item() == pytest.approx(sum(clean) / N)
        for at, batch in enumerate(batches(epoch)):
            x1, x2 = _views(batch)
            lam = lambda_u(epoch + at / BATCHES, begin, RAMP, 6.0)
            assert method.scalars()["unlabelled_weight"].item() == pytest.approx(lam)
            step = method.step(_views(batch), y[batch], batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            method.on_step_end()
            if epoch < WARM_UP:
                expected = paper.step(f, paper.mean_loss(f, x1, y[batch]), ETA)
            elif epoch < begin:
                expected = paper.tail_step(adam, paper.mean_loss(f, x1, y[batch]))
            else:
                random = np.random.default_rng([int(method.random.seed), number])
                number += 1
                alpha = 4.0 if epoch - RETRAINING < (EPOCHS - RETRAINING) / 2 else 0.75
                share, permutation = random.beta(alpha, alpha), random.permutation(2 * B)
                # Rows are permuted in the order of the samples' positions, each sample's views one after the other.
                order = sorted(range(2 * B), key=lambda row: (int(batch[row % B]), row // B))
                place = {row: position for position, row in enumerate(order)}
                partner = [order[permutation[place[row]]] for row in range(2 * B)]
                now = [clean[i] for i in batch.tolist()]
                kinds |= set(now)
                targets = [
                    one_hot(int(c), K) if keep else guess
                    for c, keep, guess in zip(y[batch], now, paper.guesses(f, x1, x2, 0.5), strict=True)
                ]
                objective = paper.mixmatch_objective(
                    f, [*x1, *x2], targets * 2, now * 2, w, lam, max(share, 1 - share), partner
                )
                torch.testing.assert_close(step.logits, f(x1).detach(), rtol=1e-4, atol=1e-5)
                expected = paper.step(f, objective, ETA)
                assert sample_weights(step) == now
            assert step.loss.item() == pytest.approx(expected, rel=1e-4)
    assert kinds == {True, False}
    assert_same_weights(method.backbone, f, rtol=1e-4, atol=1e-5)


def test_a_class_weighs_at_most_three() -> None:
    method, labels = _method(warm_up=0, classifier_epochs=0), points()[1]
    logits = torch.nn.functional.one_hot(labels, K).float()
    rare = (labels == 0).nonzero().squeeze(1)[1:]
    logits[rare] = logits[rare].roll(1, 1)
    method.on_epoch_start(EpochContext(0, EPOCHS, labels, lambda *_, **__: logits))
    counts = [1, int((labels == 1).sum()), int((labels == 2).sum())]
    assert sum(counts) / 3 > 3
    assert method.balance.tolist() == pytest.approx([3, sum(counts) / 3 / counts[1], sum(counts) / 3 / counts[2]])


@pytest.mark.parametrize(("epoch", "expected"), [(25, 4.0), (154, 4.0), (155, 0.75), (304, 0.75)])
def test_mixing_changes_in_the_middle_of_the_run_of_the_authors(epoch: int, expected: float) -> None:
    # Their epoch 150 of 300 is 155 of 305, since the 5 of the retraining come on top.
    method = _method(warm_up=20, classifier_epochs=5)
    method.on_epoch_start(replace(_context(epoch), max_epochs=305))
    assert method.alpha_now == expected


@pytest.mark.parametrize("labeled", [False, True])
@pytest.mark.parametrize("size", [1, 2, B])
def test_a_batch_of_one_kind_still_teaches(labeled: bool, size: int) -> None:
    method = _method(warm_up=0, classifier_epochs=0, ramp=0)
    method.on_epoch_start(_context(0))
    method.confident.values.fill_(labeled)
    index = torch.arange(size)
    step = method.step(_views(index), points()[1][index], index)
    step.loss.backward()
    gradients = [weight.grad for weight in method.parameters()]
    assert step.loss.isfinite()
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients)


def test_guesses_are_made_in_training_mode() -> None:
    torch.manual_seed(0)
    method = PESSemi(Problem(lambda: Random(K, 1), problem().loss, K, 8), warm_up=0, classifier_epochs=0)
    method.size.fill_(8)
    method.step(torch.randn(2, 8, 1, 4, 4), torch.zeros(8, dtype=torch.long), torch.arange(8))
    (norm,) = (layer for layer in method.backbone.modules() if isinstance(layer, nn.BatchNorm2d))
    assert norm.num_batches_tracked == 2


def test_the_weight_of_the_unlabeled_can_be_there_at_once() -> None:
    method = _method(ramp=0, unlabelled_weight=7.0)
    for epoch, expected in ((WARM_UP + RETRAINING - 1, 0), (WARM_UP + RETRAINING, 7)):
        method.on_epoch_start(_context(epoch))
        assert method.scalars()["unlabelled_weight"] == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"warm_up": -1},
        {"classifier_epochs": -1},
        {"retraining_lr": 0.0},
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"late_alpha": 0.0},
        {"unlabelled_weight": -1.0},
        {"ramp": -1},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)
