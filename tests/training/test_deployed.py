"""What is deployed of a run: the part of a method that predicts, and the networks that files can hold."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning import backbones
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.training.deployed import MEAN, ONLY, OTHER, SUM, Deployed, Predicting, predicting
from noisy_lightning.training.export_formats import written
from noisy_lightning.types import Step
from tests.methods.examples import EXAMPLES, NAMES, make
from tests.networks import Random

INPUTS = {"image_shape": (12, 16, 3), "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.3], "crop_margin": 2}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "SmallCNN": lambda: backbones.SmallCNN(3, 3, width=4),
    "ResNet18": lambda: backbones.ResNet18(3, 3),
    "PreActResNet18": lambda: backbones.PreActResNet18(3, 3),
    "WideResNet": lambda: backbones.WideResNet(3, 3, depth=10, widen_factor=1),
    "resnet10t, images grow": lambda: backbones.Timm(3, 3, "resnet10t", image_size=40),
    "test_vit, images grow": lambda: backbones.Timm(3, 3, "test_vit", image_size=160),
}


def _problem() -> Problem:
    return Problem(lambda: Random(3, 1), CrossEntropy(), num_classes=3, num_samples=60)


@torch.no_grad()
@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_a_method_predicts_by_networks_alone(example: tuple[str, dict[str, Any]]) -> None:
    torch.manual_seed(0)
    method = make(example, _problem()).eval()
    images = torch.randn(5, 1, 8, 8)
    found = predicting(method, torch.randn(2, 1, 8, 8))
    torch.testing.assert_close(found(images), method(images))
    several = {"DivideMix": SUM, "EarlyLearningRegularizationPlus": MEAN, "ProMix": MEAN, "UNICON": SUM}
    assert found.logits == several.get(example[0], ONLY)
    one = sum(value.numel() for value in Random(3, 1).state_dict().values())
    assert sum(value.numel() for value in found.state_dict().values()) == one * len(found.networks)


class _Own(OneNetwork):
    """A method of one's own."""

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        raise AssertionError("nothing is trained here")


@final
class Temperature(_Own):
    """Predicts by other logits than its network's."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) / 3


@final
class BothWays(_Own):
    """Looks at an image and its mirror image."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + super().forward(image.flip(3))


@final
class Brighter(_Own):
    """Has its network look at something else than the image."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image + 1)


@final
class InTwoParts(_Own):
    """Calls the parts of its network."""

    def forward(self, image: Tensor) -> Tensor:
        layers: Any = self.backbone.layers
        seen: Tensor = layers[-1](layers[:-1](image))
        return seen


@torch.no_grad()
@pytest.mark.parametrize("kind", [Temperature, BothWays, Brighter, InTwoParts])
def test_a_method_that_predicts_by_more_is_deployed_as_it_is(kind: type[_Own], tmp_path: Path) -> None:
    method = kind(_problem()).eval()
    found = predicting(method, torch.randn(2, 1, 8, 8))
    assert found.logits == OTHER
    images = torch.randn(5, 1, 8, 8)
    torch.testing.assert_close(found(images), method(images))
    model = Deployed(found, {"image_shape": (8, 8, 1), "mean": [0.5], "std": [0.2]}, None).eval()
    with pytest.raises(InputError, match="more than the sum or the mean of theirs: --format onnx or torch"):
        written("safetensors", model, {}, tmp_path / "model.safetensors")


@torch.no_grad()
def test_pixels_are_normalized_and_their_margin_is_cut_off() -> None:
    class Seen(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            return image.mean((2, 3))

    model = Deployed(Predicting({"seen": Seen()}, ONLY), INPUTS, None)
    assert model.image_shape == (3, 16, 20)
    image = torch.zeros(1, 3, 16, 20, dtype=torch.uint8)
    image[:, :, 2:-2, 2:-2] = torch.tensor([51, 102, 255], dtype=torch.uint8).view(3, 1, 1)
    expected = torch.tensor([[(0.2 - 0.5) / 0.2, (0.4 - 0.4) / 0.2, (1 - 0.3) / 0.3]]).softmax(1)
    torch.testing.assert_close(model(image), expected)


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_become_files(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Deployed(Predicting({"network": NETWORKS[name]()}, ONLY), INPUTS, None).eval()
    for kind, ending in {"onnx": ".onnx", "torch": ".pt2"}.items():
        predict, _ = written(kind, model, {"class_names": ["a", "b", "c"]}, tmp_path / f"model{ending}")
        for count in (1, 5):
            image = model.example(count)
            torch.testing.assert_close(predict(image), model(image), rtol=0, atol=1e-5)
