import copy
import math

import pytest
import torch
from torch import Tensor

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import EarlyLearningRegularization
from tests.methods.toys import (
    K,
    N,
    assert_same_weights,
    lookup,
    points,
    problem,
    training,
)
from tests.reference.soft_targets import elr_step

ETA = 0.5


@pytest.mark.parametrize(("beta", "strength"), [(0.7, 3.0), (0.9, 1.0), (0.0, 2.0), (0.5, 0.0)])
def test_walks_the_path_of_the_paper(beta: float, strength: float) -> None:
    torch.manual_seed(0)
    method = EarlyLearningRegularization(problem(), beta, strength)
    net = copy.deepcopy(method.backbone)
    images, labels = points()
    t = [[0.0] * K for _ in range(N)]
    for _, index, step in training(method, 5, ETA):
        loss = elr_step(net, images[index], labels[index], index.tolist(), t, beta, strength, ETA)
        assert step.loss.item() == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(method.targets.values, torch.tensor(t), rtol=1e-5, atol=1e-6)
    assert_same_weights(method.backbone, net, rtol=1e-5, atol=1e-6)
    against = sum(t_i.index(max(t_i)) != y for t_i, y in zip(t, labels.tolist(), strict=True))
    assert method.scalars()["contradicted"].item() == pytest.approx(against / N)
    assert against > 0


def _fixed(*logits: list[float]) -> EarlyLearningRegularization:
    """Return the method with a network that looks up its logits."""
    return EarlyLearningRegularization(lookup(list(logits)), beta=0.7)


def _gradient(method: EarlyLearningRegularization, label: int) -> Tensor:
    index = torch.tensor([0])
    step = method.step(index, torch.tensor([label]), index)
    (gradient,) = torch.autograd.grad(step.loss, list(method.parameters()))
    return gradient[0]


def test_the_targets_count_as_updated_and_hold_against_a_wrong_label() -> None:
    method = _fixed([2.0, 0, 0])
    p = torch.tensor([2.0, 0, 0]).softmax(0)
    assert _gradient(method, label=1)[1] < 0  # the label is learned at first
    torch.testing.assert_close(method.targets.values[0], 0.3 * p)
    for _ in range(20):
        _gradient(method, label=1)
    # The gradient in logit k is p_k − y_k, plus λ·p_k/(1 − ⟨t, p⟩)·Σ_c (t_c − t_k)·p_c: eq. 8 of the paper.
    gradient, t = _gradient(method, label=1), method.targets.values[0]
    pull = 3 * p / (1 - t @ p) * torch.stack([((t - t_k) * p).sum() for t_k in t])
    torch.testing.assert_close(gradient, p - torch.eye(3)[1] + pull)
    assert pull[0] < 0 < pull[1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_sure_network_gives_finite_losses_and_gradients(dtype: torch.dtype) -> None:
    method = _fixed([1e4, 0, 0]).to(dtype)
    method.targets.float()
    for label in (0, 1):
        for _ in range(50):
            gradient = _gradient(method, label)
        assert gradient.isfinite().all()
        # p is clamped where it is sure: the gradient is that of the loss alone.
        assert gradient.float().equal(torch.tensor([[0.0, 0, 0], [1, -1, 0]][label]))
    step = method.step(torch.tensor([0]), torch.tensor([0]), torch.tensor([0]))
    assert step.loss.dtype == torch.float32
    assert step.loss.isfinite()


def test_targets_average_clamped_probabilities_that_sum_to_one() -> None:
    """Where the network is sure, the clamp alone would leave more than that, or less."""
    method = _fixed([1e4, 0, 0, 0])
    _gradient(method, label=0)
    total = 1 - 1e-4 + 3e-4
    torch.testing.assert_close(method.targets.values[0], 0.3 / total * torch.tensor([1 - 1e-4, 1e-4, 1e-4, 1e-4]))
    assert method.targets.values.sum().item() == pytest.approx(0.3, abs=1e-6)


def test_recorded_are_the_losses_alone_of_any_loss() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = EarlyLearningRegularization(problem(loss))
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    torch.testing.assert_close(step.losses, loss(step.logits, labels[:4]))
    assert step.loss < step.losses.mean()
    assert step.sample_weight is None


def test_a_nan_shows_and_is_not_remembered() -> None:
    method = _fixed([math.nan] * 3, [1.0, 0, 0])
    index = torch.arange(2)
    assert method.step(index, torch.tensor([0, 0]), index).loss.isnan()
    assert method.targets.values[0].tolist() == [0, 0, 0]
    assert method.targets.values[1].sum().item() == pytest.approx(0.3)


@pytest.mark.parametrize("arguments", [{"beta": 1.0}, {"strength": -1.0}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        EarlyLearningRegularization(problem(), **arguments)
