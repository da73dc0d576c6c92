import math

import pytest
import torch

from noisy_lightning.methods import CAL
from tests.methods.toys import K, N, assert_same_weights, batches, context, points, problem, training
from tests.reference.cal import (
    alpha_at,
    counted,
    covariance,
    distilled,
    first_prior,
    means_of,
    regularized,
    second_prior,
)
from tests.reference.loss_correction import probabilities

ETA = 0.4
OFFSETS = [math.log(1 + K * 1e-8), math.log(1 + K * 1e-5)]  # by which probabilities that sum to one again cost more


@pytest.mark.parametrize("divide", [True, False])
@pytest.mark.parametrize(("factor", "threshold"), [(1.0, 0.3), (3.0, -8.0)])
def test_walks_the_path_of_the_authors_code(factor: float, threshold: float, divide: bool) -> None:
    sieve_epoch, final, second_final, warm_up, ramp, epochs = 3, 0.6, 0.3, 1, 2, 8
    torch.manual_seed(0)
    method = CAL(problem(), sieve_epoch, final, second_final, warm_up, ramp, factor, threshold, divide).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    initial = {name: value.clone() for name, value in f.state_dict().items()}
    images, labels = points()
    given = labels.tolist()
    optimizer = torch.optim.SGD(f.parameters(), ETA)
    steps = training(method, epochs, ETA)
    guessed = [-1] * N
    for epoch in range(epochs):
        second = epoch > sieve_epoch
        if epoch == sieve_epoch + 1:
            f.load_state_dict(initial)
            shares, matrix = counted(guessed, given, K)
            means = [[0.0] * K for _ in range(K)]
        start, end = (sieve_epoch + 1, second_final) if second else (0, final)
        alpha = alpha_at(epoch - start, end, warm_up, ramp)
        prior = (second_prior if second else first_prior)(given, K)
        seen, seen_guessed = [], []
        for index in batches(epoch):
            _, _, step = next(steps)
            p, y = probabilities(f, images[index]), labels[index].tolist()
            if epoch == sieve_epoch:
                for i, p_i, y_i in zip(index.tolist(), p, y, strict=True):
                    guessed[i] = distilled(p_i, y_i, threshold)
            loss = sum(regularized(p_i, y_i, prior, alpha, factor) for p_i, y_i in zip(p, y, strict=True)) / len(y)
            if second:
                own = [guessed[i] for i in index.tolist()]
                loss = loss - covariance(p, y, own, shares, matrix, means)
                seen += [[value.item() for value in p_i] for p_i in p]
                seen_guessed += own
            expected = loss + OFFSETS[0] - alpha * factor * OFFSETS[1]
            loss, expected = (loss / (1 + alpha), expected / (1 + alpha)) if divide else (loss, expected)
            torch.testing.assert_close(step.loss, expected, rtol=1e-5, atol=1e-6)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if second:
            means = means_of(seen, seen_guessed, K)
    assert next(steps, None) is None
    assert_same_weights(method.backbone, f, rtol=1e-5, atol=1e-6)
    assert method.distilled.values.tolist() == guessed
    torch.testing.assert_close(method.transition(), torch.tensor(matrix, dtype=torch.float64), rtol=1e-6, atol=1e-7)
    changed = sum(d != y for d, y in zip(guessed, given, strict=True))
    assert changed
    assert method.scalars()["relabelled"].item() == pytest.approx(changed / N)


def test_the_first_epochs_have_no_matrix_and_record_the_plain_losses() -> None:
    method = CAL(problem())
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images, labels, torch.arange(N))
    assert step.losses.equal(method.loss(step.logits, labels))
    assert method.transition() is None
    assert set(method.scalars()) == {"alpha"}


def test_a_sure_network_is_believed_where_it_agrees() -> None:
    """At the published threshold the given label must cost 8 less than labels do on average."""
    method = CAL(problem(), sieve_epoch=0)
    method.on_epoch_start(context(0))
    p = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.99, 0.005, 0.005]])
    method._distill(p, torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2]))
    assert method.distilled.values[:3].tolist() == [0, 0, 0]
    method._distill(p.flip(1), torch.tensor([2, 1, 1]), torch.tensor([0, 1, 2]))
    assert method.distilled.values[:3].tolist() == [2, 2, 2]


@pytest.mark.parametrize("name", ["sieve_epoch", "alpha", "second_alpha", "warm_up", "ramp", "factor"])
def test_a_value_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CAL(problem(), **{name: -1})  # type: ignore[arg-type]
