"""What every loss of the package promises, found by itself so that a new loss cannot be forgotten."""

import importlib
import pkgutil

import pytest
import torch

from noisy_lightning import losses
from noisy_lightning.losses import RobustLoss

for module in pkgutil.walk_packages(losses.__path__, "noisy_lightning.losses."):
    importlib.import_module(module.name)

K = 10
LOSSES = sorted(
    (loss for loss in RobustLoss.__subclasses__() if loss.__module__.startswith("noisy_lightning.")),
    key=lambda loss: loss.__name__,
)
pytestmark = pytest.mark.parametrize("make_loss", LOSSES, ids=lambda loss: loss.__name__)


def draw(rows=16, scale=3.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(rows, K, generator=generator, dtype=dtype)
    return logits.requires_grad_(), torch.randint(K, (rows,), generator=generator)


def value_and_gradient(loss, logits, target):
    losses = loss(logits, target)
    return losses, torch.autograd.grad(losses.sum(), logits)[0]


def takes_soft_targets(loss):
    """Whether it does; a refusal has to be worded as one, any other error is a failure."""
    try:
        loss(torch.zeros(1, K), torch.full((1, K), 1 / K))
    except ValueError as error:
        if "soft targets" not in str(error):
            raise
        return False
    return True


def test_is_exported_and_final(make_loss):
    assert make_loss.__name__ in losses.__all__
    assert getattr(make_loss, "__final__", False)


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_gives_one_finite_loss_per_sample_in_float32_or_better(make_loss, given, computed):
    logits, label = draw()
    logits = logits.detach().to(given).requires_grad_()
    value, gradient = value_and_gradient(make_loss(), logits, label)
    assert value.shape == label.shape
    assert value.dtype == computed
    assert value.isfinite().all()
    assert gradient.dtype == given
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("soft", [False, True])
def test_is_finite_at_extreme_logits(make_loss, dtype, soft):
    # Every sign pattern of interest: label right, wrong, tied, all equal, and confident but not saturated.
    rows = [[1e4] + [-1e4] * (K - 1), [-1e4] + [1e4] * (K - 1), [1e4, 1e4] + [-1e4] * (K - 2), [1e4] * K, [-1e4] * K]
    rows += [[0.0] * K] + [[margin] + [0.0] * (K - 1) for margin in (8.0, 16.0, 20.0, 40.0, 90.0, 105.0, -105.0)]
    logits = torch.tensor(rows, dtype=dtype).repeat(2, 1).requires_grad_()
    target = torch.tensor([0] * len(rows) + [1] * len(rows))
    if soft:
        target = torch.nn.functional.one_hot(target, K).to(dtype)
    if soft and not takes_soft_targets(make_loss()):
        return
    value, gradient = value_and_gradient(make_loss(), logits, target)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def test_is_independent_between_samples(make_loss):
    loss = make_loss()
    logits, label = draw(dtype=torch.float64)
    value, gradient = value_and_gradient(loss, logits, label)
    for i in range(len(label)):
        alone = logits[i : i + 1].detach().requires_grad_()
        value_alone, gradient_alone = value_and_gradient(loss, alone, label[i : i + 1])
        torch.testing.assert_close(value_alone[0], value[i])
        torch.testing.assert_close(gradient_alone[0], gradient[i])


def test_one_hot_targets_equal_labels_or_are_refused(make_loss):
    loss = make_loss()
    logits, label = draw(dtype=torch.float64)
    one_hot = torch.nn.functional.one_hot(label, K)
    if takes_soft_targets(loss):
        torch.testing.assert_close(value_and_gradient(loss, logits, one_hot), value_and_gradient(loss, logits, label))


def test_keeps_its_inputs(make_loss):
    logits, label = draw()
    before = logits.detach().clone(), label.clone()
    make_loss()(logits, label)
    torch.testing.assert_close((logits.detach(), label), before)


@pytest.mark.parametrize("wrong", [-100, -1, K])
def test_a_label_out_of_range_is_named(make_loss, wrong):
    logits, label = draw()
    label[3] = wrong
    with pytest.raises(ValueError, match=rf"label must be in \[0, {K}\), got {wrong} at position 3"):
        make_loss()(logits, label)


@pytest.mark.parametrize("shape", [(15,), (16, 1), (16, K + 1), (1,)])
def test_a_target_of_another_shape_is_refused(make_loss, shape):
    logits, _ = draw()
    with pytest.raises(ValueError, match="target must have shape"):
        make_loss()(logits, torch.zeros(shape, dtype=torch.long))
