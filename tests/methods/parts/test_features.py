import pytest
import torch
from torch import nn

from noisy_lightning.backbones import MLP, SmallCNN
from noisy_lightning.methods.parts.features import LogitsAndFeatures, feature_width, logits_and_features


def test_the_classifier_makes_the_logits_of_the_features() -> None:
    network = SmallCNN(num_classes=5, in_channels=3).eval()
    logits, features = logits_and_features(network, torch.randn(4, 3, 16, 16))
    last = [layer for layer in network.modules() if isinstance(layer, nn.Linear)][-1]
    assert features.shape == (4, feature_width(network))
    torch.testing.assert_close(last(features), logits)


def test_both_stand_side_by_side() -> None:
    network = MLP(num_classes=3, in_channels=6, hidden=[7]).eval()
    images = torch.randn(4, 6, 1, 1)
    both = LogitsAndFeatures(network)(images)
    assert both.shape == (4, 3 + 7)
    assert both.equal(torch.cat(logits_and_features(network, images), 1))


def test_a_network_that_fails_keeps_no_hook() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(RuntimeError):
        logits_and_features(network, torch.zeros(1, 5))
    assert not network[1]._forward_pre_hooks
    logits_and_features(network, torch.zeros(1, 4))


def test_a_network_that_does_not_end_in_a_linear_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="must end in a linear layer, and ends in Conv2d"):
        feature_width(nn.Sequential(nn.Conv2d(3, 2, 1)))
