"""What every backbone of the package promises."""

import inspect

import pytest
import torch

from noisy_lightning import backbones

BACKBONES = [getattr(backbones, name) for name in backbones.__all__]

each_backbone = pytest.mark.parametrize("make_backbone", BACKBONES, ids=lambda backbone: backbone.__name__)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def count_parameters(backbone):
    return sum(parameter.numel() for parameter in backbone.parameters())


@each_backbone
def test_takes_classes_and_channels_first_and_documents_the_rest(make_backbone):
    first, second, *rest = inspect.signature(make_backbone).parameters.values()
    assert (first.name, second.name) == ("num_classes", "in_channels")
    for parameter in rest:
        assert parameter.default is not inspect.Parameter.empty
    for parameter in (first, second, *rest):
        assert f"        {parameter.name}: " in make_backbone.__doc__
    assert getattr(make_backbone, "__final__", False)


@each_backbone
@pytest.mark.parametrize("in_channels", [1, 3])
def test_trains_alike_in_both_memory_formats(make_backbone, in_channels):
    backbone = make_backbone(7, in_channels).double().eval()
    image = torch.randn(2, in_channels, 32, 32, dtype=torch.double)
    logits = backbone(image)
    assert logits.shape == (2, 7)
    contiguous = torch.autograd.grad(logits.logsumexp(1).sum(), list(backbone.parameters()))

    backbone = backbone.to(memory_format=torch.channels_last)
    logits_channels_last = backbone(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(logits_channels_last, logits)
    channels_last = torch.autograd.grad(logits_channels_last.logsumexp(1).sum(), list(backbone.parameters()))
    torch.testing.assert_close(channels_last, contiguous)


@pytest.mark.parametrize(
    ("backbone", "arguments", "parameters"),
    [
        (backbones.ResNet18, {"stem": "imagenet"}, 11_181_642),
        (backbones.ResNet18, {"stem": "cifar"}, 11_173_962),
        (backbones.ResNet34, {"stem": "cifar"}, 21_282_122),
        (backbones.SmallCNN, {}, 94_762),
        (backbones.Timm, {"name": "tf_efficientnet_b3"}, 10_711_602),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_parameter_count_equals_the_published_network(backbone, arguments, parameters):
    with torch.device("meta"):
        assert count_parameters(backbone(10, 3, **arguments)) == parameters
