"""Operations of whole batches against those of torchvision, which take one image at a time."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from noisy_lightning.data.loading.recipes.operations import cut_out, moved, rotated, translated
from noisy_lightning.data.loading.recipes.performing import OPERATIONS, perform

SIZES = [(32, 32, 3), (28, 24, 1), (17, 23, 3), (2, 2, 3)]


def _images(height: int, width: int, channels: int) -> Tensor:
    """Return noise, dull noise, one color, and noise with a channel of one value."""
    images = torch.randint(0, 256, (6, height, width, channels), generator=torch.Generator().manual_seed(0))
    images[1] = images[1] // 4 + 60
    images[2] = 77
    images[3, :, :, 0] = 5
    return images.byte()


def _done(name: str, images: Tensor, strengths: list[float]) -> Tensor:
    count, channels = len(images), images.shape[3]
    strength = torch.tensor(strengths, dtype=torch.float64)
    chosen, places = torch.zeros(count, dtype=torch.long), torch.zeros(count, 2)
    return perform(images, [name], chosen, strength, places, 0, torch.zeros(channels, dtype=torch.uint8))


FACTORS = [0.0, 0.1, 0.5, 1.0, 1.3, 1.9]
SLOPES = [-0.9, -0.3, 0.0, 0.01, 0.3, 0.9]
NOTHING = [0.0] * 6
AS_TORCHVISION: dict[str, tuple[list[float], Callable[[Tensor, float], Tensor]]] = {
    "Identity": (NOTHING, lambda image, _: image),
    "Brightness": (FACTORS, functional.adjust_brightness),
    "Contrast": (FACTORS, functional.adjust_contrast),
    "Color": (FACTORS, functional.adjust_saturation),
    "Sharpness": (FACTORS, functional.adjust_sharpness),
    "Hue": ([-0.5, -0.3, -0.1, 0.0, 0.2, 0.5], functional.adjust_hue),
    "Posterize": ([8, 7, 6, 5, 4, 2], lambda image, bits: functional.posterize(image, int(bits))),
    "Solarize": ([0, 10, 100.5, 200, 255, 255], functional.solarize),
    "Invert": (NOTHING, lambda image, _: functional.invert(image)),
    "AutoContrast": (NOTHING, lambda image, _: functional.autocontrast(image)),
    "Equalize": (NOTHING, lambda image, _: functional.equalize(image)),
    "ShearX": (SLOPES, lambda image, slope: _sheared(image, slope, 0)),
    "ShearY": (SLOPES, lambda image, slope: _sheared(image, 0, slope)),
    "TranslateX": ([-1, -0.3, 0, 0.1, 0.5, 0.99], lambda image, share: _translated(image, share, 0)),
    "TranslateY": ([-1, -0.3, 0, 0.1, 0.5, 0.99], lambda image, share: _translated(image, 0, share)),
}


def _sheared(image: Tensor, x: float, y: float) -> Tensor:
    angles = [math.degrees(math.atan(slope)) for slope in (x, y)]
    done: Tensor = functional.affine(image, 0.0, [0, 0], 1.0, angles, center=[0, 0])
    return done


def _translated(image: Tensor, x: float, y: float) -> Tensor:
    height, width = image.shape[1:]
    done: Tensor = functional.affine(image, 0.0, [int(x * width), int(y * height)], 1.0, [0.0, 0.0])
    return done


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", AS_TORCHVISION)
def test_it_does_what_torchvision_does(name: str, size: tuple[int, int, int]) -> None:
    images = _images(*size)
    strengths, reference = AS_TORCHVISION[name]
    planes = images.permute(0, 3, 1, 2)
    expected = torch.stack([reference(one, by) for one, by in zip(planes, strengths, strict=True)]).permute(0, 2, 3, 1)
    differing = (_done(name, images, strengths).int() - expected.int()).abs()
    # Sums of two products are rounded in another order.
    assert differing.max() <= (1 if name in ("Color", "Sharpness") else 0)
    assert (differing > 0).float().mean() < 0.02


@pytest.mark.parametrize("size", SIZES[:3], ids=str)
def test_it_rotates_as_torchvision_does(size: tuple[int, int, int]) -> None:
    images, degrees = _images(*size), [-135.0, -30.0, -10.0, 3.0, 29.0, 120.0]
    planes = images.permute(0, 3, 1, 2)
    expected = torch.stack([functional.rotate(one, by) for one, by in zip(planes, degrees, strict=True)])
    differing = _done("Rotate", images, degrees) != expected.permute(0, 2, 3, 1)
    assert differing.float().mean() < 0.02  # where a place is between two pixels


def test_turned_by_a_right_angle() -> None:
    image = torch.arange(9, dtype=torch.uint8).view(1, 3, 3, 1)
    turned = moved(image, rotated(np.array([90.0]), 3, 3), 0)
    assert turned.view(3, 3).equal(image.view(3, 3).rot90(1))


def test_what_moves_in_is_filled() -> None:
    image = torch.full((1, 2, 3, 3), 9, dtype=torch.uint8)
    right = moved(image, translated(np.array([1.0]), np.array([0.0])), 7)
    assert (right[0, :, 0] == 7).all()
    assert (right[0, :, 1:] == 9).all()


def test_solarize_add() -> None:
    image = torch.tensor([0, 100, 127, 128, 250]).byte().view(1, 1, 5, 1)
    done = _done("SolarizeAdd", image, [110.9])
    assert done.flatten().tolist() == [110, 210, 237, 128, 250]


def test_cut_out() -> None:
    image = torch.zeros(2, 4, 5, 1, dtype=torch.uint8)
    top, left, size = torch.tensor([-1, 2]), torch.tensor([3, 0]), torch.tensor([3, 1])
    filled = cut_out(image, top, left, size, torch.tensor([7]).byte())
    assert filled[0, :2, 3:].flatten().tolist() == [7] * 4
    assert filled[1, 2, 0] == 7
    assert filled.sum() == 7 * 5


def test_each_image_has_its_own_operation() -> None:
    images = torch.randint(0, 256, (64, 12, 12, 3), generator=torch.Generator().manual_seed(1)).byte()
    before = images.clone()
    chosen = torch.arange(64) % len(OPERATIONS)
    strength = 0.5 + torch.zeros(64, dtype=torch.float64)
    strength[chosen == OPERATIONS.index("Posterize")] = 3
    places, mean = torch.rand(64, 2), torch.tensor([1, 2, 3]).byte()
    together = perform(images, OPERATIONS, chosen, strength, places, 5, mean)
    for row in range(64):
        one = slice(row, row + 1)
        alone = perform(images[one], OPERATIONS, chosen[one], strength[one], places[one], 5, mean)
        assert together[row].equal(alone[0]), OPERATIONS[chosen[row]]
    assert images.equal(before)
