import copy

import pytest
import torch
from torch import nn

from noisy_lightning.methods.parts.mean_teacher import MeanTeacher
from tests.networks import Random

IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def _network() -> nn.Module:
    torch.manual_seed(0)
    return Random(3, 1)


def test_every_weight_and_statistic_moves_by_its_share() -> None:
    network = _network()
    teacher = MeanTeacher(network)
    expected = copy.deepcopy(network.state_dict())
    kept = dict(teacher.network.state_dict())
    for momentum in (0.9, 0.5):
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(torch.randn_like(weight))
        network(IMAGES)  # moves the running statistics
        teacher.update(network, momentum)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                expected[name] = momentum * expected[name] + (1 - momentum) * value
    names = {"layers.1.running_mean", "layers.1.running_var", "layers.0.weight"}
    assert names <= set(expected)
    for name, value in teacher.network.state_dict().items():
        assert value.data_ptr() == kept[name].data_ptr(), f"{name} was not written in place"
        if value.is_floating_point():
            assert not value.equal(network.state_dict()[name])
            torch.testing.assert_close(value, expected[name], msg=name)
    assert teacher.network.state_dict()["layers.1.num_batches_tracked"] == 2


def test_the_ends_of_the_range() -> None:
    network = _network()
    teacher = MeanTeacher(network)
    before = copy.deepcopy(teacher.state_dict())
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(2)
    teacher.update(network, 1.0)
    for name, value in teacher.state_dict().items():
        assert value.equal(before[name])
    teacher.update(network, 0.0)
    for name, value in teacher.network.state_dict().items():
        assert value.equal(network.state_dict()[name])
    with pytest.raises(ValueError, match=r"1\.5"):
        teacher.update(network, 1.5)


def test_it_evaluates_in_any_mode_and_learns_nothing() -> None:
    network = _network()
    teacher = MeanTeacher(network)
    expected = network.eval()(IMAGES)
    statistics = copy.deepcopy(teacher.state_dict())
    for mode in (True, False):
        output = teacher.train(mode)(IMAGES)
        assert not output.requires_grad
        torch.testing.assert_close(output, expected)
    for name, value in teacher.state_dict().items():
        assert value.equal(statistics[name])
    assert not any(weight.requires_grad for weight in teacher.parameters())
    assert all(weight.requires_grad for weight in network.parameters())


def test_what_will_train_is_not_in_eval_mode_at_first() -> None:
    """Lightning warns of what is."""
    assert all(layer.training for layer in MeanTeacher(_network()).modules())


def test_a_compiled_network_is_copied_uncompiled() -> None:
    network = _network()
    network.compile(backend="eager")
    teacher = MeanTeacher(network)
    torch.testing.assert_close(teacher(IMAGES), copy.deepcopy(network).eval()(IMAGES))


def test_the_memory_format_stays() -> None:
    network = _network().to(memory_format=torch.channels_last)
    copied: nn.Module = MeanTeacher(network).network.layers[0]  # type: ignore[assignment, index]
    assert copied.weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[operator]
