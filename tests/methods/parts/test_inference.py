import pytest
import torch

from noisy_lightning.methods.parts.inference import evaluating, inferred
from tests.networks import Random

IMAGES = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def _half_frozen() -> Random:
    network = Random(3, 1)
    network.layers[1].eval()
    return network


def _modes(network: Random) -> list[bool]:
    return [layer.training for layer in network.modules()]


def test_all_layers_evaluate_and_then_are_back_in_their_own_mode() -> None:
    network = _half_frozen()
    before = _modes(network)
    with evaluating(network):
        assert not any(_modes(network))
    assert _modes(network) == before
    assert True in before
    assert False in before


def test_layers_are_back_in_their_own_mode_after_an_error() -> None:
    network = _half_frozen()
    before = _modes(network)
    with pytest.raises(ZeroDivisionError), evaluating(network):
        _ = 1 / 0
    assert _modes(network) == before


def test_logits_are_those_of_eval_mode_and_have_no_gradient() -> None:
    network = _half_frozen()
    before = _modes(network)
    logits = inferred(network, IMAGES)
    assert not logits.requires_grad
    assert _modes(network) == before
    assert logits.equal(network.eval()(IMAGES))
