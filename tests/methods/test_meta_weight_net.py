from pathlib import Path

import pytest
import torch
from torch import nn

from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import MetaWeightNet, Problem
from noisy_lightning.types import Companion
from tests.methods.test_l2rw import trusted
from tests.methods.toys import N, beside, context, points, problem, sample_weights, training
from tests.reference.meta import slope_of_v, v, weighted_loss

ETA = 0.3


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("alpha", "given"), [(0.1, True), (0.5, True), (0.2, False)])
def test_walks_the_path_of_the_paper(alpha: float, given: bool, normalize: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rate = alpha if given else None
    method = MetaWeightNet(problem(), trusted(tmp_path), 0.01, 1e-4, rate, normalize).double()
    method.learning_rate = lambda: alpha
    images, labels = points()
    theta = [weight.detach().clone().requires_grad_() for weight in method.backbone.parameters()]
    phi = [weight.detach().clone().requires_grad_() for weight in method.weighing.parameters()]
    adam = torch.optim.Adam(phi, 0.01, weight_decay=1e-4)
    known = list(range(0, N, 5))
    for number, (epoch, index, step) in enumerate(training(method, 3, ETA)):
        clean = [(images[known[i % len(known)]], known[i % len(known)] % 3) for i in beside(epoch, number % 3).tolist()]
        noisy = [i for i in index.tolist() if i not in known]
        samples = [(images[i], labels[i].item()) for i in noisy]
        for weight, slope in zip(phi, slope_of_v(theta, phi, samples, clean, alpha, normalize), strict=True):
            weight.grad = slope
        adam.step()
        loss = weighted_loss(theta, phi, samples, normalize)
        torch.testing.assert_close(step.loss, loss, rtol=1e-6, atol=1e-8)
        for i, found, value in zip(index.tolist(), sample_weights(step), step.losses, strict=True):
            assert found == pytest.approx(0.0 if i in known else v(phi, value.detach()).item(), rel=1e-6)
        gradients = torch.autograd.grad(loss, theta)
        theta = [(w - ETA * g).detach().requires_grad_() for w, g in zip(theta, gradients, strict=True)]
    for weights, others in ((method.backbone, theta), (method.weighing, phi)):
        for weight, other in zip(weights.parameters(), others, strict=True):
            torch.testing.assert_close(weight, other, rtol=1e-6, atol=1e-8)


def test_a_label_against_the_verified_ones_comes_to_weigh_less(tmp_path: Path) -> None:
    """All samples have one image, of which the verified one is class 0; the label 1 costs 5, and 0 next to nothing."""
    torch.manual_seed(0)
    table = nn.Embedding.from_pretrained(torch.tensor([[5.0, 0.0]]), freeze=False)
    task = Problem(lambda: table, CrossEntropy(), num_classes=2, num_samples=4)
    method = MetaWeightNet(task, trusted(tmp_path, range(1)), lr=0.01, virtual_lr=0.1)
    method.companion = Companion(torch.tensor([0]), torch.tensor([0]))
    before = method.scalars()
    for _ in range(50):
        method.step(torch.tensor([0, 0]), torch.tensor([0, 1]), torch.tensor([1, 2]))
    after = method.scalars()
    assert after["weight_at_5"] < 0.5 * before["weight_at_5"]
    assert after["weight_at_5"] < 0.5 * after["weight_at_0"]


def test_no_optimizer_sees_the_small_network(tmp_path: Path) -> None:
    method = MetaWeightNet(problem(), trusted(tmp_path))
    assert not any(weight.requires_grad for weight in method.weighing.parameters())
    assert method.companions(torch.arange(4)).tolist() == list(range(0, N, 5))


def test_outside_of_a_run_the_virtual_step_has_no_length_unless_it_is_given(tmp_path: Path) -> None:
    method = MetaWeightNet(problem(), trusted(tmp_path))
    method.on_epoch_start(context(0))
    with pytest.raises(ValueError, match="virtual_lr: outside of a run"):
        next(training(method, 1))


@pytest.mark.parametrize("value", [{"lr": -1.0}, {"weight_decay": -1.0}, {"virtual_lr": 0.0}])
def test_a_value_out_of_range_is_refused(value: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        MetaWeightNet(problem(), trusted(tmp_path), **value)  # type: ignore[arg-type]
