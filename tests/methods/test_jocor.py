import pytest
import torch

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import JoCoR
from noisy_lightning.methods.jocor import jeffreys_divergence
from tests.methods.toys import (
    B,
    K,
    assert_same_weights,
    context,
    lookup,
    points,
    problem,
    sample_weights,
    training,
)
from tests.reference.co_teaching import forget_rate
from tests.reference.jocor import jocor_step, joint_loss, kullback_leibler
from tests.reference.losses import softmax

ETA, EPOCHS = 0.5, 6
NAN = [float("nan")] * 3


def _fixed(first: list[list[float]], second: list[list[float]], forget: float, co_lambda: float = 0.5) -> JoCoR:
    """Return the method with networks that look up their logits."""
    method = JoCoR(lookup(first, second), forget, warm_up=0, co_lambda=co_lambda)
    method.on_epoch_start(context(0))
    return method


@pytest.mark.parametrize(
    ("tau", "warm_up", "exponent", "co_lambda"), [(0.45, 4, 1.0, 0.9), (0.5, 3, 2.0, 0.1), (0.2, 0, 1.0, 0.0)]
)
def test_walks_the_path_of_the_paper(tau: float, warm_up: int, exponent: float, co_lambda: float) -> None:
    torch.manual_seed(0)
    method = JoCoR(problem(), tau, warm_up, exponent, co_lambda)
    f1, f2 = problem().make_backbone(), problem().make_backbone()
    f1.load_state_dict(method.first.state_dict())
    f2.load_state_dict(method.second.state_dict())
    images, labels = points()
    for epoch, index, step in training(method, EPOCHS, ETA):
        forget = forget_rate(epoch, tau, warm_up, exponent)
        d = jocor_step(f1, f2, images[index], labels[index], forget, co_lambda, ETA)
        assert sample_weights(step) == [i in d for i in range(B)]
    for ours, theirs in ((method.first, f1), (method.second, f2)):
        assert_same_weights(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_disagreement_counts_against_a_sample() -> None:
    """The second has the smaller cross-entropy, but the networks agree on the first."""
    first, second = [[0.5, 0, 0], [9.0, 0, 0]], [[0.5, 0, 0], [0.4, 0, 0]]
    labels = torch.zeros(2, dtype=torch.long)
    index = torch.arange(2)
    by_labels = _fixed(first, second, forget=0.5, co_lambda=0.0).step(index, labels, index)
    by_both = _fixed(first, second, forget=0.5, co_lambda=0.9).step(index, labels, index)
    assert sample_weights(by_labels) == [False, True]
    assert sample_weights(by_both) == [True, False]
    expected = joint_loss(torch.tensor(first[0]), torch.tensor(second[0]), 0, 0.9)
    assert by_both.loss.item() == pytest.approx(expected.item())


def test_records_the_mean_loss_on_the_label_without_the_divergence() -> None:
    first, second = [[1.0, 0, 2.0]], [[0, 3.0, 0]]
    labels = torch.tensor([1])
    method = _fixed(first, second, forget=0.0)
    step = method.step(torch.tensor([0]), labels, torch.tensor([0]))
    losses = [problem().loss(torch.tensor(rows), labels).item() for rows in (first, second)]
    assert step.losses.item() == pytest.approx(sum(losses) / 2)
    assert step.logits.tolist() == first
    assert method.networks() == {"second": method.second}
    assert method(torch.tensor([0])).tolist() == first


def test_the_divergence_is_that_of_both_directions() -> None:
    torch.manual_seed(0)
    z1, z2 = torch.randn(2, 5, K, dtype=torch.float64)
    pairs = [(softmax(a), softmax(b)) for a, b in zip(z1, z2, strict=True)]
    expected = [(kullback_leibler(p, q) + kullback_leibler(q, p)).item() for p, q in pairs]
    assert jeffreys_divergence(z1, z2).tolist() == pytest.approx(expected)
    assert jeffreys_divergence(z1, z1).tolist() == [0] * 5


def test_the_divergence_survives_extreme_logits_and_half_precision() -> None:
    sure = torch.tensor([[1e4, 0, 0]], requires_grad=True)
    other = torch.tensor([[0, 1e4, 0]], requires_grad=True)
    for first, second in ((sure, other), (sure.bfloat16(), other.bfloat16())):
        value = jeffreys_divergence(first, second)
        assert value.dtype == torch.float32
        assert value.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value.sum(), (sure, other)))


def test_any_loss_ranks_and_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = JoCoR(problem(loss), forget_rate=0.5, warm_up=0, co_lambda=0.3)
    method.on_epoch_start(context(0))
    images, labels = points()
    first, second = method.first(images[:4]), method.second(images[:4])
    joint = 0.7 * (loss(first, labels[:4]) + loss(second, labels[:4])) + 0.3 * jeffreys_divergence(first, second)
    step = method.step(images[:4], labels[:4], torch.arange(4))
    torch.testing.assert_close(step.loss, joint.sort().values[:2].mean())


def test_a_nan_teaches_nobody_and_nothing_but_nan_shows() -> None:
    rows = [[1.0, 0, 0], [0, 2.0, 0]]
    method = _fixed([NAN, *rows], [rows[0], *rows], forget=0.0)
    labels = torch.tensor([0, 0, 1])
    step = method.step(torch.arange(3), labels, torch.arange(3))
    assert sample_weights(step) == [False, True, True]
    assert step.loss.isfinite()
    assert method.step(torch.tensor([0]), labels[:1], torch.arange(1)).loss.isnan()


@pytest.mark.parametrize("co_lambda", [1.0, -0.1])
def test_a_value_out_of_range_is_refused(co_lambda: float) -> None:
    with pytest.raises(ValueError, match="co_lambda"):
        JoCoR(problem(), co_lambda=co_lambda)
