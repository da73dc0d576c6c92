"""What recipes make of the numbers that are drawn for them."""

import random
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from noisy_lightning import augmentation
from noisy_lightning.data.loading.augment import uniforms
from noisy_lightning.data.loading.recipes import (
    AugMix,
    AutoAugment,
    ColorJitter,
    CropFlip,
    Cutout,
    FixMatchAugment,
    NoAugmentation,
    PerImage,
    RandAugment,
    RandomResizedCrop,
    Recipe,
    TrivialAugment,
)
from noisy_lightning.data.loading.recipes.in_turn import recipe_of
from noisy_lightning.data.loading.recipes.performing import OPERATIONS, Range, strengths
from noisy_lightning.data.loading.recipes.ranges import POOLS, TORCHVISION, WIDE
from noisy_lightning.errors import InputError
from tests.data.loading.recipes.test_operations import AS_TORCHVISION

MEAN = torch.tensor([120, 110, 100], dtype=torch.uint8)
ALL: list[Recipe] = [
    NoAugmentation(),
    CropFlip(),
    RandomResizedCrop(),
    RandAugment(),
    RandAugment(operations=0),
    RandAugment(operations=3, magnitude=30, fill=128),
    TrivialAugment(),
    AutoAugment(),
    AutoAugment("imagenet"),
    AutoAugment("svhn", fill=128),
    FixMatchAugment(),
    FixMatchAugment(operations=3, magnitude=None, probability=1, random_cutout=True),
    FixMatchAugment(pool="wide", cutout=0),
    ColorJitter(),
    Cutout(),
    AugMix(),
    AugMix(severity=1, width=2, depth=4, fill=128),
    recipe_of([RandomResizedCrop(), TrivialAugment(), Cutout()], CropFlip(), "augmentation"),
    PerImage(v2.RandomErasing()),
]


def _images(count: int = 32, side: int = 32, channels: int = 3) -> Tensor:
    shape = count, side, side, channels
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def _augmented(recipe: Recipe, images: Tensor, key: int = 0, size: tuple[int, int] | None = None) -> Tensor:
    draws = uniforms("test", (key,), torch.arange(len(images)), recipe.draws)
    return recipe(images, draws, MEAN[: images.shape[3]], size or (images.shape[1], images.shape[2]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: type(recipe).__name__)
def test_a_recipe_follows_from_its_draws_alone(recipe: Recipe, channels: int) -> None:
    images = _images(channels=channels)
    before = images.clone()
    once, again, other = (_augmented(recipe, images, key) for key in (0, 0, 1))
    assert images.equal(before)
    assert once.dtype == torch.uint8
    assert once.shape == images.shape
    assert once.equal(again)
    assert once.equal(other) == (recipe.draws == 0)
    # Whatever stands beside it in the batch.
    draws = uniforms("test", (0,), torch.arange(len(images)), recipe.draws)
    half = recipe(images[5:9], draws[5:9], MEAN[:channels], (32, 32))
    assert half.equal(once[5:9])


def test_all_are_exported() -> None:
    assert {type(recipe).__name__ for recipe in ALL} - {"_InTurn"} == set(augmentation.__all__) - {"Recipe"}


def _strengths(ranges: Mapping[str, Range], level: Tensor, negative: Tensor) -> dict[str, list[float]]:
    """Return how strong each operation is at each level."""
    every = list(ranges.values())
    return {
        name: strengths(every, torch.full((len(level),), number), level, negative).tolist()
        for number, name in enumerate(ranges)
    }


def test_strengths_are_those_of_torchvision() -> None:
    level, sign = torch.tensor([0.0, 9 / 30, 1.0], dtype=torch.float64), torch.tensor([True, False, True])
    space = _strengths(TORCHVISION, level, sign)
    assert space["ShearX"] == pytest.approx([0, 0.09, -0.3])
    assert space["TranslateY"] == pytest.approx([0, 9 / 30 * 150 / 331, -150 / 331])
    assert space["Rotate"] == pytest.approx([0, 9, -30])
    assert space["Brightness"] == pytest.approx([1, 1.27, 0.1])
    assert space["Posterize"] == [8, 7, 4]
    assert space["Solarize"] == pytest.approx([255, 178.5, 0])
    wide = _strengths(WIDE, level, sign)
    assert wide["ShearX"] == pytest.approx([0, 0.297, -0.99])
    assert wide["Rotate"] == pytest.approx([0, 40.5, -135])
    assert wide["Color"] == pytest.approx([1, 1.297, 0.01])
    assert wide["Posterize"] == [8, 6, 2]
    assert len(TORCHVISION) == 14


def test_strengths_are_those_of_fixmatch() -> None:
    level, sign = torch.tensor([0.1, 0.9], dtype=torch.float64), torch.tensor([True, False])
    pool = _strengths(POOLS["fixmatch"], level, sign)
    assert len(pool) == 14
    assert pool["Brightness"] == pytest.approx([0.14, 0.86])
    assert pool["Posterize"] == [4, 7]
    assert pool["Solarize"] == pytest.approx([230.4, 25.6])
    assert pool["TranslateX"] == pytest.approx([-0.03, 0.27])
    wide = _strengths(POOLS["wide"], level, sign)
    assert len(wide) == 16
    assert wide["Contrast"] == pytest.approx([0.28, 1.72])
    assert wide["TranslateX"] == pytest.approx([-0.045, 0.405])
    assert wide["Cutout"] == pytest.approx([0.02, 0.18])
    assert wide["SolarizeAdd"] == pytest.approx([11, 99])
    assert "Identity" not in wide


def test_rand_augment_applies_what_is_drawn() -> None:
    image = _images(1)
    names = list(TORCHVISION)
    for name, expected in {
        "Rotate": functional.rotate(image.permute(0, 3, 1, 2), -15.0),
        "Equalize": functional.equalize(image.permute(0, 3, 1, 2)),
        "Brightness": functional.adjust_brightness(image.permute(0, 3, 1, 2), 0.55),
    }.items():
        draws = torch.full((1, RandAugment(operations=1).draws), 0.4, dtype=torch.float64)  # a sign below 1/2 is minus
        draws[0, 0] = (names.index(name) + 0.5) / len(names)
        done = RandAugment(operations=1, magnitude=15)(image, draws, MEAN, (32, 32)).permute(0, 3, 1, 2)
        assert (done != expected).float().mean() < 0.01, name


def _performed(monkeypatch: pytest.MonkeyPatch, recipe: Recipe, count: int = 4000) -> list[tuple[str, float]]:
    """Return the names and strengths of the operations that a recipe applies."""
    done: list[tuple[str, float]] = []

    def note(images: Tensor, names: list[str], chosen: Tensor, strength: Tensor, *rest: object) -> Tensor:
        done.extend(zip((names[one] for one in chosen.tolist()), strength.tolist(), strict=True))
        return images

    monkeypatch.setattr("noisy_lightning.data.loading.recipes.performing.perform", note)
    _augmented(recipe, torch.zeros(count, 1, 1, 3, dtype=torch.uint8))
    return done


def test_all_operations_are_equally_likely(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter(name for name, _ in _performed(monkeypatch, RandAugment()))
    assert set(counts) == set(TORCHVISION)
    assert all(abs(count - 8000 / 14) < 5 * (8000 / 14) ** 0.5 for count in counts.values())
    turns = [strength for name, strength in _performed(monkeypatch, RandAugment()) if name == "Rotate"]
    assert {round(turn, 6) for turn in turns} == {9.0, -9.0}
    assert abs(np.mean(turns)) < 9 * 5 / len(turns) ** 0.5


def test_trivial_augment_has_31_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _performed(monkeypatch, TrivialAugment())
    assert len({round(abs(strength), 6) for name, strength in done if name == "Rotate"}) == 31
    assert max(abs(strength) for name, strength in done if name == "Rotate") == 135


def test_auto_augment_applies_operations_as_often_as_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counter(name for name, _ in _performed(monkeypatch, AutoAugment()))
    # Of the 25 pairs for CIFAR-10, Invert is part of three, with probabilities 0.1, 0 and 0.1.
    assert abs(counts["Invert"] - 4000 * 0.2 / 25) < 5 * (4000 * 0.2 / 25) ** 0.5
    turns = {abs(strength) for name, strength in _performed(monkeypatch, AutoAugment()) if name == "Rotate"}
    assert list(turns) == [pytest.approx(30 * 2 / 9)]


def test_fixmatch_applies_half_of_what_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    done = _performed(monkeypatch, FixMatchAugment(magnitude=5, cutout=0))
    assert abs(sum(name == "Identity" for name, _ in done) / 8000 - (0.5 + 0.5 / 14)) < 0.03
    # Of 10 tenths, 1 to 4.
    assert {round(abs(strength), 6) for name, strength in done if name == "Rotate"} == {3, 6, 9, 12}
    always = _performed(monkeypatch, FixMatchAugment(magnitude=None, probability=1, cutout=0))
    assert abs(sum(name == "Identity" for name, _ in always) / 8000 - 1 / 14) < 0.02
    assert len({strength for name, strength in always if name == "Rotate"}) > 400


def test_cutout_cuts_a_square_of_the_mean_color() -> None:
    images = torch.zeros(200, 32, 32, 3, dtype=torch.uint8)
    cut = _augmented(Cutout(0.5), images)
    filled = (cut == MEAN).all(3)
    assert filled.flatten(1).sum(1).max() == 16 * 16
    assert filled.flatten(1).sum(1).min() < 16 * 16  # at the edge, less
    assert ((cut == 0).all(3) | filled).all()
    share = filled.float().mean((0,))
    assert (share > 0.02).all()  # everywhere


def test_color_jitter_changes_what_it_is_asked_to() -> None:
    images = _images()
    assert _augmented(ColorJitter(0, 0, 0, 0), images).equal(images)
    only = _augmented(ColorJitter(0.5, 0, 0, 0), images)
    draws = uniforms("test", (0,), torch.arange(len(images)), 8)
    for image, done, draw in zip(images, only, draws, strict=True):
        expected = functional.adjust_brightness(image.permute(2, 0, 1), 0.5 + draw[0].item())
        assert done.permute(2, 0, 1).equal(expected)


def test_random_resized_crops_are_drawn_as_torchvision_draws_them() -> None:
    recipe, count = RandomResizedCrop(scale=(0.2, 0.9)), 3000
    draws = uniforms("test", (0,), torch.arange(count), recipe.draws)
    boxes = recipe.boxes(draws, 60, 80)
    torch.manual_seed(0)
    image = torch.zeros(1, 60, 80)
    theirs = torch.tensor(
        [
            v2.RandomResizedCrop.make_params(v2.RandomResizedCrop(32, (0.2, 0.9)), [image])[key]
            for _ in range(count)
            for key in ("top", "left", "height", "width")
        ]
    ).view(count, 4)
    for ours, reference in zip(boxes, theirs.T.double(), strict=True):
        error = (ours.var() / count + reference.var() / count) ** 0.5
        assert abs(ours.mean() - reference.mean()) < 5 * error
        assert abs(ours.std() / reference.std() - 1) < 0.1
    assert (boxes.top + boxes.height).max() <= 60
    assert (boxes.left + boxes.width).max() <= 80


def test_where_no_box_fits_the_middle_is_taken() -> None:
    recipe = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))
    boxes = recipe.boxes(uniforms("test", (0,), torch.arange(3), recipe.draws), 10, 20)
    assert [edge.tolist() for edge in boxes] == [[0] * 3, [5] * 3, [10] * 3, [10] * 3]


@pytest.mark.parametrize("side", [40, 100], ids=["by matrices", "one by one"])
def test_crops_are_resized_as_torchvision_resizes_them(side: int) -> None:
    smooth = torch.nn.functional.interpolate(
        _images(8, 12).permute(0, 3, 1, 2).float(), size=(side, side), mode="bicubic"
    )
    images = smooth.clamp(0, 255).byte().permute(0, 2, 3, 1)
    recipe = RandomResizedCrop()
    draws = uniforms("test", (0,), torch.arange(8), recipe.draws)
    done, boxes = recipe(images, draws, MEAN, (24, 20)), recipe.boxes(draws, side, side)
    assert done.shape == (8, 24, 20, 3)
    for image, ours, *box in zip(images, done, *boxes, strict=True):
        edges = [int(edge) for edge in box]
        expected = functional.resized_crop(image.permute(2, 0, 1).float(), *edges, [24, 20], antialias=True)
        assert (ours.permute(2, 0, 1).float() - expected).abs().max() <= 1


def test_recipes_follow_each_other() -> None:
    images = _images()
    both = recipe_of([ColorJitter(), Cutout()], CropFlip(), "augmentation")
    draws = uniforms("test", (0,), torch.arange(len(images)), both.draws)
    first = ColorJitter()(images, draws[:, :8], MEAN, (32, 32))
    assert both(images, draws, MEAN, (32, 32)).equal(Cutout()(first, draws[:, 8:], MEAN, (32, 32)))
    assert (both.crops, both.flips, both.zooms) == (True, True, False)
    zooming = recipe_of([RandomResizedCrop(), Cutout()], CropFlip(), "augmentation")
    assert (zooming.crops, zooming.flips, zooming.zooms) == (False, True, True)


def test_a_transform_draws_by_itself_and_leaves_all_generators_alone() -> None:
    def noisy(image: Tensor) -> Tensor:
        shift = torch.randint(50, ()) + int(np.random.randint(50)) + random.randrange(50)
        return image // 2 + shift.byte()

    images = torch.zeros(20, 4, 4, 3, dtype=torch.uint8)
    recipe = recipe_of(noisy, CropFlip(), "augmentation")
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index]
    values = _augmented(recipe, images)[:, 0, 0, 0]
    assert len(values.unique()) > 10
    assert values.equal(_augmented(recipe, images)[:, 0, 0, 0])
    assert states[0].equal(torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()  # type: ignore[index]
    assert states[2] == random.getstate()


def test_a_transform_may_return_any_image() -> None:
    images = _images(3, 8)
    floats = v2.Compose([v2.ToDtype(torch.float32, scale=True)])
    assert _augmented(PerImage(floats), images).equal(images)
    assert _augmented(PerImage(v2.ToPILImage()), images).equal(images)
    assert _augmented(PerImage(v2.CenterCrop(4)), images).shape == images.shape


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (v2.Normalize([0.5] * 3, [0.5] * 3), r"Normalize failed on an image \(3, 8, 8\) uint8"),
        (v2.Lambda(str), r"Lambda returned no image: an image must be"),
    ],
)
def test_a_transform_that_makes_no_image_is_named(transform: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=f"data.augmentation: {message}"):
        _augmented(PerImage(transform), _images(2, 8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandAugment(operations=-1), "operations must be at least 0, got -1"),
        (lambda: RandAugment(magnitude=31), r"magnitude must be in \[0, 30\], got 31"),
        (lambda: TrivialAugment(fill=256), r"fill must be in \[0, 255\], got 256"),
        (lambda: AutoAugment("mnist"), "policy must be cifar10, imagenet or svhn, got 'mnist'"),  # type: ignore[arg-type]
        (lambda: FixMatchAugment(magnitude=1), r"magnitude must be in \[2, 11\], got 1"),
        (lambda: FixMatchAugment(probability=1.5), r"probability must be in \[0, 1\], got 1.5"),
        (lambda: FixMatchAugment(pool="big"), "pool must be fixmatch or wide, got 'big'"),  # type: ignore[arg-type]
        (lambda: ColorJitter(saturation=-1), "saturation must be at least 0, got -1"),
        (lambda: ColorJitter(hue=0.6), r"hue must be in \[0, 1/2\], got 0.6"),
        (lambda: Cutout(0), r"size must be in \(0, 1\], got 0"),
        (lambda: RandomResizedCrop(scale=(0.0, 1.0)), r"scale must be two shares in \(0, 1\]"),
        (lambda: RandomResizedCrop(ratio=(2.0, 1.0)), "ratio must be two numbers above 0"),
        (lambda: recipe_of([], CropFlip(), "augmentation"), r"data.augmentation must be a recipe of augmentation"),
        (lambda: recipe_of(Cutout, CropFlip(), "augmentation"), "data.augmentation must be a recipe"),
        (lambda: recipe_of("x", CropFlip(), "strong_augmentation"), "data.strong_augmentation must be"),  # type: ignore[arg-type]
    ],
)
def test_wrong_values_are_refused(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]


def test_every_operation_can_be_drawn() -> None:
    ranges: dict[str, Range] = {**TORCHVISION, **WIDE, **POOLS["fixmatch"], **POOLS["wide"]}
    assert set(ranges) | {"Hue"} == set(OPERATIONS)


def _in_a_chain(name: str, image: Tensor, u: float, negative: bool) -> Tensor:
    """Return an image (C, H, W) changed by an operation of AugMix's authors, of a level u in [0, 1]; not rotated."""
    sign = -1 if negative else 1
    factor, third = 0.1 + 1.8 * u, sign * u / 3
    operations: dict[str, Callable[[], Tensor]] = {
        "Posterize": lambda: functional.posterize(image, 4 - int(4 * u)),
        "Solarize": lambda: functional.solarize(image, 256 - int(256 * u)),
        "ShearX": lambda: AS_TORCHVISION["ShearX"][1](image, sign * 0.3 * u),
        "ShearY": lambda: AS_TORCHVISION["ShearY"][1](image, sign * 0.3 * u),
        "TranslateX": lambda: AS_TORCHVISION["TranslateX"][1](image, third),
        "TranslateY": lambda: AS_TORCHVISION["TranslateY"][1](image, third),
        "Brightness": lambda: functional.adjust_brightness(image, factor),
        "Color": lambda: functional.adjust_saturation(image, factor),
        "Contrast": lambda: functional.adjust_contrast(image, factor),
        "Sharpness": lambda: functional.adjust_sharpness(image, factor),
        "AutoContrast": lambda: functional.autocontrast(image),
        "Equalize": lambda: functional.equalize(image),
        "Rotate": lambda: functional.rotate(image, sign * int(30 * u)),
    }
    return operations[name]()


@pytest.mark.parametrize("depth", [None, 2])
def test_aug_mix_is_a_mixture_of_an_image_and_its_chains(depth: int | None) -> None:
    names = ["AutoContrast", "Equalize", "Posterize", "Rotate", "Solarize", "ShearX", "ShearY", "TranslateX"]
    names += ["TranslateY", "Brightness", "Color", "Contrast", "Sharpness"]
    recipe, images = AugMix(severity=3, width=3, depth=depth), _images(24, 16)
    draws = uniforms("test", (0,), torch.arange(24), recipe.draws)
    found = recipe(images, draws, MEAN, (16, 16)).permute(0, 3, 1, 2).int()
    for image, own, mixed in zip(images.permute(0, 3, 1, 2), draws.tolist(), found, strict=True):
        share, *rest = own
        exponential, changed, longest = [], [], 3 if depth is None else depth
        for number in range(3):
            weight, length, *operations = rest[number * (2 + 6 * longest) : (number + 1) * (2 + 6 * longest)]
            exponential.append(-np.log(1 - weight))
            chain = image
            for place in range(1 + int(3 * length) if depth is None else depth):
                which, how, sign = operations[6 * place : 6 * place + 3]
                chain = _in_a_chain(names[int(13 * which)], chain, (0.1 + 2.9 * how) / 10, sign < 0.5)
            changed.append(chain)
        expected = (1 - share) * image.double()
        for weight, chain in zip(exponential, changed, strict=True):
            expected += share * weight / sum(exponential) * chain.double()
        differing = (mixed - expected).abs()
        # Half a level of rounding, one of Color and Sharpness; a rotated image differs where a place is between two.
        assert (differing > 1.6).float().mean() < 0.03


def test_an_aug_mix_of_nothing_is_refused() -> None:
    for wrong in ({"severity": 0.0}, {"severity": 11.0}, {"width": 0}, {"depth": 0}, {"fill": 256}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            AugMix(**wrong)
