import pytest
import torch
from torch import nn

from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy
from noisy_lightning.methods import SOP, Problem
from noisy_lightning.methods.parts.over_parameters import (
    cross_entropy,
    shifted_probabilities,
    squared_distance,
    squares,
)
from tests.methods.toys import (
    B,
    K,
    N,
    assert_same_weights,
    batches,
    points,
    problem,
    train,
)
from tests.reference.sop import sop_step

ETA = 0.5


@pytest.mark.parametrize("square_moves_u", [True, False])
@pytest.mark.parametrize(("lr_u", "lr_v", "std"), [(10.0, 10.0, 1e-8), (1.0, 30.0, 0.3), (10.0, 0.0, 0.1)])
def test_walks_the_path_of_the_paper(lr_u: float, lr_v: float, std: float, square_moves_u: bool) -> None:
    torch.manual_seed(0)
    method = SOP(problem(), lr_u, lr_v, std, square_moves_u).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    u, v = list(method.samples.u.values[:, 0].clone()), list(method.samples.v.values.clone())
    train(method, 8, ETA)

    images, labels = points()
    for epoch in range(8):
        for index in batches(epoch):
            sop_step(f, images[index], labels[index], index.tolist(), u, v, ETA, lr_u, lr_v, square_moves_u)
    torch.testing.assert_close(method.samples.u.values[:, 0], torch.stack(u), rtol=1e-8, atol=1e-20)
    torch.testing.assert_close(method.samples.v.values, torch.stack(v), rtol=1e-8, atol=1e-20)
    assert_same_weights(method.backbone, f, rtol=1e-8, atol=1e-12)


def test_wrong_labels_are_explained_and_right_ones_are_not() -> None:
    torch.manual_seed(0)
    method = SOP(problem(), lr_u=1.0, lr_v=1.0, initial_std=1e-4).double()
    train(method, 60, ETA)
    _, labels = points()
    wrong = labels != torch.arange(N) % K
    explained = method.samples.u.values[:, 0].square().clamp(max=1)
    assert explained[wrong].mean() > 0.5
    assert explained[~wrong].mean() < 0.1
    assert method.scalars()["noise_rate"].item() == pytest.approx(explained.mean().item())


def test_a_scaled_loss_leaves_u_and_v_as_they_would_be() -> None:
    """As in half precision, where the loss is multiplied before its gradient is taken."""
    images, labels = points()
    found = []
    for scale in (1.0, 1024.0):
        torch.manual_seed(0)
        method = SOP(problem(), initial_std=0.1).double()
        (scale * method.step(images[:B], labels[:B], torch.arange(B)).loss).backward()
        method.on_step_end()
        found.append((method.samples.u.values.clone(), method.samples.v.values.clone()))
    assert found[0][0].equal(found[1][0])
    assert found[0][1].equal(found[1][1])


@pytest.mark.parametrize("generalized", [False, True])
def test_the_loss_of_the_run_is_recorded_but_not_minimized(generalized: bool) -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy() if generalized else CrossEntropy()
    method = SOP(problem(loss), initial_std=0.5).double()
    images, labels = points()
    u, v = method.samples.u.values[:5].clone(), method.samples.v.values[:5].clone()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    assert step.losses.equal(loss(step.logits, labels[:5]))
    parts = squares(labels[:5], u, v)
    explained = cross_entropy(shifted_probabilities(step.logits, *parts), labels[:5])
    distance = squared_distance(step.logits, labels[:5], *parts)
    torch.testing.assert_close(step.loss, (explained + distance).mean())
    assert step.logits.equal(method.backbone(images[:5]))
    assert step.sample_weight is None
    assert method(images).equal(method.backbone(images))


def test_half_precision_keeps_the_parameters_in_full() -> None:
    method = SOP(Problem(nn.Identity, CrossEntropy(), K, 4), initial_std=0.5)
    logits = torch.randn(4, K, generator=torch.Generator().manual_seed(0)).bfloat16()
    step = method.step(logits, torch.tensor([0, 1, 2, 0]), torch.arange(4))
    method.on_step_end()
    assert step.loss.dtype == method.samples.u.values.dtype == method.samples.v.values.dtype == torch.float32


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_batch_of_one_class_is_enough(size: int) -> None:
    method = SOP(problem())
    images, _ = points()
    step = method.step(images[:size], torch.zeros(size, dtype=torch.long), torch.arange(size))
    step.loss.backward()
    method.on_step_end()
    assert step.loss.isfinite()
    assert method.samples.u.values.isfinite().all()


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="lr_u"):
        SOP(problem(), lr_u=-1.0)
