import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, RobustLoss
from noisy_lightning.methods import DynamicWeights, Problem
from tests.methods.toys import (
    assert_same_weights,
    points,
    problem,
    training,
)
from tests.reference.dynamic_weights import dynamic_weights_step

# Most confident classes: below, at and above a threshold of 0.6, and certain.
PROBABILITIES = torch.tensor(
    [[0.4, 0.3, 0.3], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8], [0.0005, 0.999, 0.0005]], dtype=torch.float64
)
LABELS = torch.tensor([0, 0, 2, 2])


def _method(mode: str, threshold: float = 0.6, loss: RobustLoss | None = None) -> DynamicWeights:
    problem = Problem(nn.Identity, loss or CrossEntropy(), num_classes=3, num_samples=10)
    return DynamicWeights(problem, mode, threshold)  # type: ignore[arg-type]


def _step(mode: str, threshold: float = 0.6, loss: RobustLoss | None = None) -> tuple[float, Tensor, Tensor | None]:
    """Return the value, its gradient by the logits, and what was kept."""
    logits = PROBABILITIES.log().requires_grad_()
    step = _method(mode, threshold, loss).step(logits, LABELS, torch.arange(4))
    torch.testing.assert_close(step.losses, (loss or CrossEntropy())(logits, LABELS))
    assert step.logits.equal(logits)
    (gradient,) = torch.autograd.grad(step.loss, logits)
    return step.loss.item(), gradient, step.sample_weight


def _losses(logits: Tensor) -> list[Tensor]:
    return [-torch.log(torch.exp(z[y]) / torch.exp(z).sum()) for z, y in zip(logits, LABELS, strict=True)]


def _confidences(logits: Tensor) -> list[Tensor]:
    return [(torch.exp(z) / torch.exp(z).sum()).max() for z in logits]


@pytest.mark.parametrize("threshold", [0.4, 0.6])
@pytest.mark.parametrize("mode", ["as_described", "as_run", "per_sample"])
def test_walks_the_path_of_the_study(mode: Any, threshold: float) -> None:
    torch.manual_seed(0)
    method = DynamicWeights(problem(), mode, threshold).double()
    f = copy.deepcopy(method.backbone)
    images, labels = points()
    for _, index, step in training(method, 6, 0.5):
        loss = dynamic_weights_step(f, images[index], labels[index], mode, threshold, 0.5)
        assert step.loss.item() == pytest.approx(loss, rel=1e-6)
    assert_same_weights(method.backbone, f, rtol=1e-6, atol=1e-8)


def test_as_run_scales_the_mean_loss_by_the_mean_weight_and_differentiates_both() -> None:
    logits = PROBABILITIES.log().requires_grad_()
    weights = [1 / c if c >= 0.6 else torch.ones(()) for c in _confidences(logits)]
    expected: Any = sum(_losses(logits)) / 4 * sum(weights) / 4
    (gradient,) = torch.autograd.grad(expected, logits)
    value, measured, kept = _step("as_run")
    assert value == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(measured, gradient, atol=1e-6, rtol=0)
    assert kept is None


def test_per_sample_weighs_each_loss_and_leaves_the_weights_alone() -> None:
    logits = PROBABILITIES.log().requires_grad_()
    weights = [1 / c.item() if c >= 0.6 else 1.0 for c in _confidences(logits)]
    expected: Any = sum(w * loss for w, loss in zip(weights, _losses(logits), strict=True)) / 4
    (gradient,) = torch.autograd.grad(expected, logits)
    value, measured, kept = _step("per_sample")
    assert value == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(measured, gradient, atol=1e-6, rtol=0)
    assert kept is None  # a weight above 1 is no participation


def test_as_described_plays_down_unsure_samples() -> None:
    logits = PROBABILITIES.log().requires_grad_()
    weights = [1.0 if c >= 0.6 else c.item() / 0.6 for c in _confidences(logits)]
    expected: Any = sum(w * loss for w, loss in zip(weights, _losses(logits), strict=True)) / 4
    (gradient,) = torch.autograd.grad(expected, logits)
    value, measured, kept = _step("as_described")
    assert value == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(measured, gradient, atol=1e-6, rtol=0)
    assert kept is not None
    assert kept.tolist() == pytest.approx([0.4 / 0.6, 1, 1, 1])


def test_a_threshold_of_one_weighs_nothing_as_run() -> None:
    plain = CrossEntropy()(PROBABILITIES.log(), LABELS).mean().item()
    assert _step("as_run", threshold=1.0)[0] == pytest.approx(plain)


def test_any_loss_can_be_weighed() -> None:
    loss = GeneralizedCrossEntropy()
    expected = loss(PROBABILITIES.log(), LABELS) * torch.tensor([0.4 / 0.6, 1, 1, 1])
    assert _step("as_described", loss=loss)[0] == pytest.approx(expected.mean().item(), rel=1e-6)


def test_confidence_is_measured_in_full_precision() -> None:
    logits = PROBABILITIES.log().bfloat16()
    weights = _method("as_described")._weights(logits.float().softmax(1).amax(1))
    step = _method("as_described").step(logits, LABELS, torch.arange(4))
    assert step.sample_weight is not None
    assert step.sample_weight.dtype == torch.float32
    assert step.sample_weight.equal(weights)


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        _method("as_run", threshold)
