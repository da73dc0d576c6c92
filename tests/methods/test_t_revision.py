import logging

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import EpochContext, TRevision
from noisy_lightning.methods.base import warn_of_short_run
from noisy_lightning.methods.t_revision import importance
from tests.methods.toys import B, K, assert_same_weights, batches, context, points, problem, train
from tests.reference.loss_correction import descend, estimate, probabilities
from tests.reference.losses import cross_entropy, one_hot
from tests.reference.t_revision import Adam, revised, reweighted

ETA, EPOCHS = 0.3, 6
MATRIX = [[0.75, 0.25, 0.0], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]]


def part(epoch: int) -> EpochContext:
    images, labels = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        output: Tensor = network(images)
        return output

    return EpochContext(epoch, EPOCHS, labels, predict)


@pytest.mark.parametrize(
    ("warm_up", "reweighting", "percentile", "erase", "lr", "weight_decay"),
    [(2, 2, 97.0, False, 0.01, 1e-4), (1, 0, 80.0, True, 0.003, 0.1), (3, 1, 100.0, False, 5e-7, 0.0)],
)
def test_walks_the_path_of_the_paper(
    warm_up: int, reweighting: int, percentile: float, erase: bool, lr: float, weight_decay: float
) -> None:
    torch.manual_seed(0)
    method = TRevision(problem(), warm_up, reweighting, "anchor_points", percentile, erase, lr, weight_decay).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    train(method, EPOCHS, ETA, part)

    images, labels = points()
    D = [[torch.zeros((), dtype=torch.float64, requires_grad=True) for _ in range(K)] for _ in range(K)]  # noqa: N806
    flat, adam = [value for row in D for value in row], Adam(D, lr, weight_decay)
    adam_of_network = torch.optim.Adam(f.parameters(), lr, weight_decay=weight_decay)
    T: list[list[float]] = []  # noqa: N806
    for epoch in range(EPOCHS):
        if epoch == warm_up:
            T = estimate([[p_k.item() for p_k in p] for p in probabilities(f, images)], percentile, erase)  # noqa: N806
        for index in batches(epoch):
            pairs = list(zip(probabilities(f, images[index]), labels[index].tolist(), strict=True))
            if epoch < warm_up:
                descend(f, [cross_entropy(p, one_hot(y, K)) for p, y in pairs], ETA)
            elif epoch < warm_up + reweighting:
                descend(f, [reweighted(p, y, T) for p, y in pairs], ETA)
            else:
                losses = [revised(p, y, T, D) for p, y in pairs]
                gradients = torch.autograd.grad(sum(losses) / B, flat, retain_graph=True, materialize_grads=True)
                adam_of_network.zero_grad()
                (sum(losses) / B).backward()
                adam_of_network.step()
                adam.step([[g.item() for g in gradients[i * K : (i + 1) * K]] for i in range(K)])
    expected = torch.tensor([[T[i][j] + D[i][j].item() for j in range(K)] for i in range(K)], dtype=torch.float64)
    found = method.transition()
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)
    assert_same_weights(method.backbone, f, rtol=1e-7, atol=1e-9)
    assert bool(method.revising)
    assert bool(method.slack.abs().sum() > 0)


def test_the_best_weights_of_exact_posteriors_are_those_of_the_paper() -> None:
    """Weighted by β, the expected loss over given labels is that over true ones."""
    matrix, p = torch.tensor(MATRIX), torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    given = p @ matrix
    losses = -p.log()
    for n in range(2):
        weights = importance(p[[n]].log().repeat(K, 1), torch.arange(K), matrix)
        torch.testing.assert_close((given[n] * weights * losses[n]).sum(), (p[n] * losses[n]).sum())


def test_a_given_matrix_weights_from_the_first_epoch_and_counts_as_an_oracle() -> None:
    torch.manual_seed(0)
    method = TRevision(problem(), warm_up=9, reweighting=1, matrix=MATRIX, lr=0.01)
    assert method.oracle
    assert not TRevision(problem()).oracle
    images, labels = points()
    method.on_epoch_start(context(0))
    step = method.step(images[:5], labels[:5], torch.arange(5))
    pairs = zip(probabilities(method.backbone, images[:5]), labels[:5].tolist(), strict=True)
    torch.testing.assert_close(step.loss, sum(reweighted(p, y, MATRIX) for p, y in pairs) / 5)
    method.on_step_end()
    assert not method.slack.any()
    method.on_epoch_start(context(1))
    method.step(images[:5], labels[:5], torch.arange(5))
    method.on_step_end()
    assert method.slack.any()
    torch.testing.assert_close(method.transition(), torch.tensor(MATRIX) + method.slack)


def test_records_the_plain_losses_of_any_loss() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = TRevision(problem(loss), matrix=MATRIX)
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    assert step.losses.equal(loss(step.logits, labels[:5]))
    expected = (importance(step.logits, labels[:5], torch.tensor(MATRIX)) * step.losses).mean()
    torch.testing.assert_close(step.loss, expected)


def test_several_batches_before_a_step_count_as_one() -> None:
    images, labels = points()
    index = torch.arange(2 * B)

    def learned(parts: list[Tensor]) -> Tensor:
        torch.manual_seed(0)
        method = TRevision(problem(), reweighting=0, matrix=MATRIX, lr=0.01).double()
        method.on_epoch_start(context(0))
        for part_ in parts:
            method.step(images[part_], labels[part_], part_)
        method.on_step_end()
        return method.slack

    torch.testing.assert_close(learned([index]), learned(list(index.split(B))))


def test_a_label_that_cannot_be_given_has_a_finite_weight() -> None:
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    matrix = torch.tensor([[1.0, -0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    loss = importance(logits, torch.tensor([1]), matrix).sum()
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_a_run_without_a_third_stage_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_short_run(TRevision(problem(), 2, 8), context(0))
    assert "model.method.reweighting needs 11 epochs" in caplog.text


@pytest.mark.parametrize("value", [{"warm_up": 0}, {"reweighting": -1}, {"lr": -0.1}, {"weight_decay": -1.0}])
def test_a_value_out_of_range_is_refused(value: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        TRevision(problem(), **value)  # type: ignore[arg-type]
