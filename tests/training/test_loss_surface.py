"""The loss around a network, against plain loops."""

import copy

import pytest
import torch
from torch import nn

from noisy_lightning.losses import CrossEntropy, MeanAbsoluteError
from noisy_lightning.training.loss_surface import loss_surface

STEPS = (-1.0, 0.0, 0.5)


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(1)
    layers = (nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(12, 2))
    network = nn.Sequential(*layers)
    network(torch.randn(50, 1, 4, 4))  # statistics of its own
    return network


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(7, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 2


def test_is_the_mean_loss_of_weights_moved_by_directions_as_long_as_each_filter(
    network: nn.Module, data: tuple[torch.Tensor, torch.Tensor]
) -> None:
    images, labels = data
    surface = loss_surface(network, images, labels, STEPS, seed=5, batch_size=3)
    generator = torch.Generator().manual_seed(5)
    directions = []
    for _ in range(2):
        moved = {}
        for name, weight in network.named_parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            moved[name] = torch.zeros_like(weight)
            if weight.dim() > 1:  # neither biases nor those of the normalization
                for number, one in enumerate(weight.detach()):
                    moved[name][number] = drawn[number] * one.norm() / drawn[number].norm()
        directions.append(moved)
    for row, b in enumerate(STEPS):
        for column, a in enumerate(STEPS):
            other = copy.deepcopy(network).eval()
            with torch.no_grad():
                for name, weight in other.named_parameters():
                    weight.add_(a * directions[0][name] + b * directions[1][name])
                expected = CrossEntropy()(other(images), labels).mean()
            assert surface[row, column] == pytest.approx(expected.item(), abs=1e-5)


def test_leaves_the_network_as_it_was(network: nn.Sequential, data: tuple[torch.Tensor, torch.Tensor]) -> None:
    network.train()
    network[2].eval()
    before = copy.deepcopy(network.state_dict())
    loss_surface(network, *data, STEPS)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network] == [True, True, False, True, True]


def test_takes_any_loss_and_draws_the_same_directions_for_a_seed(
    network: nn.Module, data: tuple[torch.Tensor, torch.Tensor]
) -> None:
    one, again, other = (loss_surface(network, *data, STEPS, seed=seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other)[[0, 2]].all()
    assert one[1, 1] == other[1, 1]
    bounded = loss_surface(network, *data, STEPS, loss=MeanAbsoluteError())
    assert bounded.max() <= 2


def test_wants_a_label_for_each_image(network: nn.Module, data: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = data
    with pytest.raises(ValueError, match="got 7 images and 6 labels"):
        loss_surface(network, images, labels[:6], STEPS)
    with pytest.raises(ValueError, match="got 0 images and 0 labels"):
        loss_surface(network, images[:0], labels[:0], STEPS)
