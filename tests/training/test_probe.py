"""What a network or a loss gets wrong is said before a run begins, and trying them changes nothing."""

from typing import Any

import pytest
import torch
from torch import nn

from noisy_lightning import losses
from noisy_lightning.backbones import SmallCNN, Timm
from noisy_lightning.errors import InputError
from noisy_lightning.training.probe import check_loss, check_network
from tests.networks import Random
from tests.tools import mistaken

SHAPE = (8, 8, 1)


def test_a_network_that_is_tried_stays_as_it_is_and_draws_nothing() -> None:
    network = Random(10, 1)
    network.layers[1].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    assert check_network(network, 10, SHAPE, True, 1).shape == (2, 10)
    assert torch.get_rng_state().equal(state)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert network.training
    assert not network.layers[1].training


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Linear(10, 1), "Linear cannot take images of 8×8 pixels and 1 channel: .*shapes cannot be multiplied"),
        (mistaken.Features(10, 1), r"Features returns shape \(2, 16\) .* must return logits \(2, 10\)"),
        (mistaken.Maps(10, 1), r"Maps returns shape \(2, 10, 8, 8\)"),
        (mistaken.Pair(10, 1), "Pair returns a tuple"),
        (mistaken.Flat(10, 1), r"Flat cannot take .*\(mistaken\.py, line \d+\)$"),
        (mistaken.Deep(10, 1), "Deep cannot take images of 8×8 pixels"),
        (Timm(10, 1, "vit_tiny_patch16_224"), r"Timm .*; model\.backbone\.image_size resizes them: .*224"),
    ],
)
def test_a_network_that_makes_no_logits_of_the_images_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=f"model.backbone: {message}"):
        check_network(network, 10, SHAPE, True, 128)


def test_one_image_at_a_time_is_refused_only_where_batch_normalization_cannot_take_it() -> None:
    check_network(SmallCNN(10, 1), 10, (32, 32, 1), True, 1)
    check_network(mistaken.Normalized(10, 1), 10, SHAPE, True, 2)
    with pytest.raises(InputError, match=r"data\.batch_size must be at least 2 per device for Normalized"):
        check_network(mistaken.Normalized(10, 1), 10, SHAPE, True, 1)


def test_a_loss_that_averages_is_refused() -> None:
    check_loss(losses.SymmetricCrossEntropy(), torch.zeros(2, 10))
    with pytest.raises(InputError, match=r"Averaging returns shape \(\) .* a loss never averages"):
        check_loss(mistaken.Averaging(), torch.zeros(2, 10))


def test_the_error_of_a_loss_is_named() -> None:
    class Broken(losses.RobustLoss):
        def forward(self, logits: Any, target: Any) -> Any:
            return logits[target, 99]

    with pytest.raises(InputError, match=r"model\.loss: Broken fails: .*\(test_probe\.py, line \d+\)$"):
        check_loss(Broken(), torch.zeros(2, 10))
