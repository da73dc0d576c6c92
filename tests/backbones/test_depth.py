"""How deep weights lie below the classifier."""

from typing import Any

import pytest
import timm.optim
import torch
from torch import nn
from torchvision.models import resnet18, vit_b_16

from noisy_lightning.backbones import ResNet18, SmallCNN, Timm, WideResNet
from noisy_lightning.backbones.depth import depths
from tests.networks import Plain, Random


def _by_name(network: nn.Module) -> dict[str, int]:
    found = depths(network)
    return {name: found[weight] for name, weight in network.named_parameters()}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet10t", "tf_efficientnet_lite0", "convnext_atto"])
def test_the_depths_of_networks_of_timm_are_its_own(name: str) -> None:
    network = Timm(10, 3, name)
    scales: dict[Any, float] = {}
    optim: Any = timm.optim
    for group in optim.param_groups_layer_decay(network.network, layer_decay=0.5):
        scales |= dict.fromkeys(group["params"], group["lr_scale"])
    found = depths(network)
    assert {weight: 0.5**depth for weight, depth in found.items()} == scales
    assert found == depths(network.network)
    assert max(found.values()) > 4


def test_a_vision_transformer_has_a_depth_per_block() -> None:
    found = _by_name(timm.create_model("vit_tiny_patch16_224", depth=3, num_classes=4))
    assert found["head.weight"] == 0
    assert [found[f"blocks.{number}.attn.qkv.weight"] for number in range(3)] == [3, 2, 1]
    assert found["norm.weight"] == 1
    assert found["patch_embed.proj.weight"] == found["cls_token"] == found["pos_embed"] == 4


def test_other_networks_have_a_depth_per_layer_in_the_order_in_which_they_were_made() -> None:
    assert set(_by_name(Plain(10, 1)).items()) == {
        *((f"layers.2.{name}", 1) for name in ("weight", "bias")),
        *((f"layers.4.{name}", 0) for name in ("weight", "bias")),
    }
    found = _by_name(Random(10, 1))  # whose normalization belongs to the convolution before it
    assert [found[f"layers.{number}.weight"] for number in (0, 1, 6)] == [1, 1, 0]
    found = _by_name(SmallCNN(10, 3))
    assert sorted(set(found.values())) == [0, 1, 2, 3, 4]
    assert found["classifier.weight"] == 0
    found = _by_name(WideResNet(10, 3, depth=10))
    assert [found[f"features.{number}.{name}"] for number, name in ((0, "weight"), (1, "conv1.weight"), (4, "weight"))]
    assert (found["features.0.weight"], found["features.1.norm1.weight"], found["features.3.conv2.bias"]) == (4, 3, 1)


@pytest.mark.parametrize("network", [ResNet18(10, 3), resnet18(num_classes=10)], ids=["ours", "torchvision"])
def test_a_residual_network_has_a_depth_per_block(network: nn.Module) -> None:
    found = {name.removeprefix("network."): depth for name, depth in _by_name(network).items()}
    assert found["fc.weight"] == 0
    blocks = [found[f"layer{stage}.{block}.conv1.weight"] for stage in range(1, 5) for block in range(2)]
    assert blocks == [8, 7, 6, 5, 4, 3, 2, 1]
    assert found["conv1.weight"] == found["bn1.weight"] == 9


def test_weights_of_no_layer_belong_to_the_first_block() -> None:
    with torch.device("meta"):
        found = _by_name(vit_b_16(num_classes=10))
    assert found["heads.head.weight"] == 0
    assert found["class_token"] == found["conv_proj.weight"] == 2
    assert found["encoder.layers.encoder_layer_0.ln_1.weight"] == 1


def test_a_network_of_one_layer_is_its_classifier() -> None:
    assert set(depths(nn.Linear(3, 2)).values()) == {0}
