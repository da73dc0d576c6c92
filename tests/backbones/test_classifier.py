"""A network's classifier is found, and its body stands still or learns."""

from typing import final

import pytest
from torch import nn

from noisy_lightning import backbones
from noisy_lightning.backbones.classifier import Body, classifiers


@pytest.mark.parametrize("name", backbones.__all__)
def test_the_classifier_of_every_backbone_is_found(name: str) -> None:
    network = getattr(backbones, name)(7, 3)
    (layer,) = classifiers(network)
    assert isinstance(layer, nn.Linear)
    assert layer.out_features == 7
    body = Body(network)
    assert len(body.parameters) == sum(weight.requires_grad for weight in network.parameters()) - 2


@final
class TwoHeaded(nn.Module):
    """A network that says itself which layers classify, and made them first."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])
        self.body = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())

    def get_classifier(self) -> tuple[nn.Module, ...]:
        return tuple(self.heads)


def test_a_network_may_name_its_classifiers() -> None:
    network = TwoHeaded()
    assert classifiers(network) == list(network.heads)
    assert Body(network).parameters == list(network.body.parameters())


def test_a_frozen_body_stands_still_and_a_thawed_one_does_not() -> None:
    network = TwoHeaded()
    network.body[0].bias.requires_grad_(False)  # the user's own choice
    body = Body(network)
    body.freeze()
    assert [layer.training for layer in network.body] == [False, False, False]
    assert all(head.training for head in network.heads)
    assert not any(weight.requires_grad for weight in network.body.parameters())
    assert all(weight.requires_grad for weight in network.heads.parameters())
    body.thaw()
    assert all(layer.training for layer in network.modules())
    assert [weight.requires_grad for weight in network.body.parameters()] == [True, False, True, True]
