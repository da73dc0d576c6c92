"""What every backbone of the package promises, found by itself so that a new backbone cannot be forgotten."""

import importlib
import inspect
import pkgutil

import pytest
import torch
from torch import nn
from torchvision import models

from noisy_lightning import backbones
from noisy_lightning.backbones.convolution import conv_block
from noisy_lightning.errors import InputError
from tests.reference import networks as reference


def discover():
    for found in pkgutil.walk_packages(backbones.__path__, "noisy_lightning.backbones."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            own = inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
            if own and issubclass(value, nn.Module) and not inspect.isabstract(value):
                yield value


BACKBONES = sorted(discover(), key=lambda backbone: backbone.__name__)

each_backbone = pytest.mark.parametrize("make_backbone", BACKBONES, ids=lambda backbone: backbone.__name__)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def trained(backbone):
    return [parameter for parameter in backbone.parameters() if parameter.requires_grad]


def count_parameters(backbone):
    return sum(parameter.numel() for parameter in backbone.parameters())


# Those whose linear layers are made for one size of images.
SIZED = [
    *(backbones.EightLayerCNN, backbones.FourLayerCNN, backbones.LeNet, backbones.MNISTCNN, backbones.PlainCNN),
    *(backbones.SevenLayerCNN, backbones.TwoLayerMLP),
]
FEATURES = (backbones.Linear, backbones.MLP)  # which take features, images of one pixel


def image_size(make_backbone):
    """The size that a backbone is made for, where its constructor names one."""
    if make_backbone in FEATURES:
        return 1, 1
    size = inspect.signature(make_backbone).parameters.get("image_size")
    return (size.default,) * 2 if size and size.default else (32, 32)


def test_all_are_exported():
    assert [backbone.__name__ for backbone in BACKBONES] == sorted(backbones.__all__)


@each_backbone
def test_takes_classes_and_channels_first_and_documents_the_rest(make_backbone):
    first, second, *rest = inspect.signature(make_backbone).parameters.values()
    assert (first.name, second.name) == ("num_classes", "in_channels")
    for parameter in rest:
        assert parameter.default is not inspect.Parameter.empty
    for parameter in (first, second, *rest):
        assert f"\n    {parameter.name}: " in (inspect.getdoc(make_backbone) or "")
    assert getattr(make_backbone, "__final__", False)


@each_backbone
def test_trains_alike_in_both_memory_formats(make_backbone):
    backbone = make_backbone(7, 2).double().eval()
    image = torch.randn(2, 2, *image_size(make_backbone), dtype=torch.double)
    logits = backbone(image)
    assert logits.shape == (2, 7)
    contiguous = torch.autograd.grad(logits.logsumexp(1).sum(), trained(backbone))

    backbone = backbone.to(memory_format=torch.channels_last)
    logits_channels_last = backbone(image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(logits_channels_last, logits)
    channels_last = torch.autograd.grad(logits_channels_last.logsumexp(1).sum(), trained(backbone))
    torch.testing.assert_close(channels_last, contiguous)


@each_backbone
def test_computes_in_bfloat16(make_backbone):
    backbone = make_backbone(7, 3).to(memory_format=torch.channels_last)
    image = torch.randn(4, 3, *image_size(make_backbone)).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = backbone(image)
    logits.float().logsumexp(1).sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in trained(backbone))


@each_backbone
def test_starts_afresh_from_the_seed(make_backbone):
    def first_weights(seed):
        torch.manual_seed(seed)
        return next(make_backbone(3, 1).parameters())

    assert torch.equal(first_weights(1), first_weights(1))
    begins_at_zero = make_backbone is backbones.Linear
    assert torch.equal(first_weights(1), first_weights(2)) == begins_at_zero


@pytest.mark.parametrize(
    ("backbone", "smallest"),
    [
        (backbones.EightLayerCNN, 8),
        (backbones.FourLayerCNN, 4),
        (backbones.LeNet, 12),
        (backbones.MNISTCNN, 16),
        (backbones.PlainCNN, 4),
        (backbones.NineLayerCNN, 28),
        (backbones.PreActResNet18, 8),
        (backbones.SevenLayerCNN, 8),
        (backbones.SmallCNN, 8),
        (backbones.TwoLayerMLP, 1),
        (backbones.VGG19BN, 32),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_takes_images_from_the_size_it_states(backbone, smallest):
    sized = "image_size" in inspect.signature(backbone).parameters
    for size in (smallest, smallest + 5):
        network = backbone(10, 1, image_size=size) if sized else backbone(10, 1)
        assert network(torch.randn(2, 1, size, size)).shape == (2, 10)


@pytest.mark.parametrize(
    ("backbone", "arguments", "message"),
    [
        (backbones.EightLayerCNN, {"image_size": 7}, r"image_size must be in \[8, inf\), got 7"),
        (backbones.FourLayerCNN, {"image_size": 3}, r"image_size must be in \[4, inf\), got 3"),
        (backbones.NineLayerCNN, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        (backbones.NineLayerCNN, {"dropout": float("nan")}, r"dropout must be in \[0, 1\), got nan"),
        (backbones.PlainCNN, {"image_size": 3}, r"image_size must be in \[4, inf\), got 3"),
        (backbones.ResNet18, {"stem": "mnist"}, "stem must be 'cifar' or 'imagenet', got 'mnist'"),
        (backbones.ResNet34, {"stem": ""}, "stem must be 'cifar' or 'imagenet', got ''"),
        (backbones.ResNet50, {"stem": "mnist"}, "stem must be 'cifar' or 'imagenet', got 'mnist'"),
        (backbones.LeNet, {"image_size": 11}, r"image_size must be in \[12, inf\), got 11"),
        (backbones.MNISTCNN, {"image_size": 15}, r"image_size must be in \[16, inf\), got 15"),
        (backbones.SevenLayerCNN, {"image_size": 7}, r"image_size must be in \[8, inf\), got 7"),
        (backbones.TwoLayerMLP, {"image_size": 0}, r"image_size must be in \[1, inf\), got 0"),
        (backbones.VGG19BN, {"head": "mnist"}, "head must be 'cifar' or 'imagenet', got 'mnist'"),
        (backbones.VGG19BN, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        (backbones.SmallCNN, {"width": 5}, "width must be even and at least 2, got 5"),
        (backbones.SmallCNN, {"width": 0}, "width must be even and at least 2, got 0"),
        (backbones.WideResNet, {"depth": 4}, r"depth must be 6n \+ 4 and at least 10, got 4"),
        (backbones.WideResNet, {"depth": 20}, r"depth must be 6n \+ 4 and at least 10, got 20"),
        (backbones.WideResNet, {"widen_factor": 0}, r"widen_factor must be in \[1, inf\), got 0"),
    ],
)
def test_an_argument_out_of_range_is_named(backbone, arguments, message):
    with pytest.raises(ValueError, match=message):
        backbone(10, 3, **arguments)


@pytest.mark.parametrize("backbone", SIZED)
def test_images_of_another_size_are_refused(backbone):
    with pytest.raises(InputError, match=r"model\.backbone\.image_size is 16, but the images have 16×28 pixels"):
        backbone(10, 1, image_size=16)(torch.zeros(2, 1, 16, 28))


@pytest.mark.parametrize("negative_slope", [0.0, 0.1])
def test_pooling_before_the_activation_equals_pooling_after_it(negative_slope):
    convolution, norm, pool, activation = conv_block(3, 8, pool=True, negative_slope=negative_slope).double()
    image = torch.randn(4, 3, 9, 9, dtype=torch.double)
    weights = list(convolution.parameters()) + list(norm.parameters())
    outputs = [order[1](order[0](norm(convolution(image)))) for order in ((pool, activation), (activation, pool))]
    torch.testing.assert_close(*outputs)
    torch.testing.assert_close(*(torch.autograd.grad(output.square().sum(), weights) for output in outputs))


@pytest.mark.parametrize(
    ("backbone", "in_channels", "arguments", "parameters"),
    [
        (backbones.EightLayerCNN, 3, {}, 1_639_794),
        (backbones.FourLayerCNN, 1, {}, 422_090),
        (backbones.LeNet, 1, {}, 61_706),
        (backbones.MNISTCNN, 1, {}, 431_080),
        (backbones.NineLayerCNN, 3, {}, 4_434_570),
        (backbones.PlainCNN, 3, {}, 4_298_330),
        (backbones.PreActResNet18, 3, {}, 11_171_274),
        (backbones.ResNet18, 3, {"stem": "imagenet"}, 11_181_642),
        (backbones.ResNet18, 3, {"stem": "cifar"}, 11_173_962),
        (backbones.ResNet32, 3, {}, 468_138),
        (backbones.ResNet34, 3, {"stem": "cifar"}, 21_282_122),
        (backbones.ResNet50, 3, {"stem": "cifar"}, 23_520_842),
        (backbones.SevenLayerCNN, 3, {}, 518_150),
        (backbones.SmallCNN, 3, {}, 98_970),
        (backbones.Timm, 3, {"name": "tf_efficientnet_b3"}, 10_711_602),
        (backbones.Timm, 3, {"name": "inception_resnet_v2"}, 54_321_834),
        (backbones.TwoLayerMLP, 1, {}, 203_530),
        (backbones.VGG19BN, 3, {}, 20_040_522),
        (backbones.VGG19BN, 3, {"head": "imagenet"}, 139_622_218),
        (backbones.WideResNet, 3, {}, 1_469_642),
        (backbones.WideResNet, 3, {"widen_factor": 10}, 36_489_290),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_parameter_count_equals_the_published_network(backbone, in_channels, arguments, parameters):
    with torch.device("meta"):
        assert count_parameters(backbone(10, in_channels, **arguments)) == parameters


@pytest.mark.parametrize(("stem", "size"), [("cifar", 32), ("imagenet", 8)])
def test_the_stem_for_small_images_keeps_their_size(stem, size):
    network = backbones.ResNet18(10, 3, stem).network
    sizes = []
    network.layer1.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[2:]))
    network(torch.zeros(2, 3, 32, 32))
    assert sizes == [(size, size)]


@pytest.mark.parametrize(
    ("backbone", "in_channels", "sizes"),
    [
        (backbones.LeNet, 1, [(6, 14, 14), (16, 5, 5), (120,), (84,), (10,)]),
        (backbones.MNISTCNN, 1, [(20, 12, 12), (50, 4, 4), (500,), (10,)]),
        (backbones.SevenLayerCNN, 3, [(64, 16, 16), (128, 8, 8), (16, 4, 4), (10,)]),
        (backbones.TwoLayerMLP, 1, [(256,), (10,)]),
        (backbones.VGG19BN, 3, [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2), (512, 1, 1), (10,)]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_layers_have_the_sizes_of_the_published_network(backbone, in_channels, sizes):
    network = backbone(10, in_channels).eval()
    seen = []
    for layer in network.modules():
        if isinstance(layer, nn.MaxPool2d | nn.Linear):
            layer.register_forward_hook(lambda _, inputs, output: seen.append(tuple(output.shape[1:])))
    network(torch.zeros(1, in_channels, *image_size(backbone)))
    assert seen == sizes


@pytest.mark.parametrize(
    ("backbone", "in_channels", "published"),
    [
        (backbones.LeNet, 1, reference.le_net),
        (backbones.MNISTCNN, 1, reference.mnist_of_instance_dependent_noise),
        (backbones.NineLayerCNN, 3, reference.co_teaching),
        (backbones.PreActResNet18, 3, reference.divide_mix),
        (backbones.ResNet32, 3, reference.incv),
        (backbones.SevenLayerCNN, 3, reference.jocor),
        (backbones.WideResNet, 3, reference.sln),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_computes_as_the_published_network(backbone, in_channels, published):
    network = backbone(10, in_channels).double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for name in ("weight", "bias", "running_mean", "running_var"):
                nn.init.uniform_(getattr(module, name), 0.5, 1.5)
    image = torch.randn(2, in_channels, *image_size(backbone), dtype=torch.double)
    layers = reference.Layers(network.state_dict().values())
    torch.testing.assert_close(network(image), published(image, layers), rtol=1e-9, atol=1e-9)
    assert next(layers.weights, None) is None


def test_vgg_computes_as_that_of_torchvision():
    ours = backbones.VGG19BN(10, 3).features.eval()
    theirs = models.vgg.make_layers(models.vgg.cfgs["E"], batch_norm=True).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(image), theirs(image), rtol=1e-4, atol=1e-5)
