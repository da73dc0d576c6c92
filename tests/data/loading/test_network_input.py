"""An image on its own becomes what the test loader serves, bit for bit, whatever kind of object it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from noisy_lightning.data import CIFAR10, MNIST, ImageFolder, NoisyDataModule
from noisy_lightning.data.loading.network_input import to_input
from noisy_lightning.errors import InputError
from tests.fabricated import fabricate

RANDOM = np.random.default_rng(0)


def inputs_of(data: NoisyDataModule) -> dict[str, Any]:
    """Return the arguments of `to_input`, as a checkpoint keeps them."""
    inputs: dict[str, Any] = data.state_dict()["inputs"]
    return {name: value for name, value in inputs.items() if name != "class_names"}


def served(data: NoisyDataModule) -> Tensor:
    """Return all test images as the network gets them."""
    return torch.cat([batch.image for batch in data.test_dataloader()[0]])


@pytest.mark.parametrize("dataset", [CIFAR10, MNIST])
def test_images_in_memory_become_what_the_loader_serves(
    dataset: type[NoisyDataModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate(monkeypatch)
    data = dataset(crop_padding=2, horizontal_flip=True)
    data.setup()
    images = torch.as_tensor(data.load(train=False).images)
    for image, expected in zip(images, served(data), strict=True):
        first = image.permute(2, 0, 1)
        kinds = (
            image.numpy(),
            first,
            first.numpy(),
            first / 255,
            first.double() / 255,
            np.ascontiguousarray(first.numpy()[::-1])[::-1],
        )
        pictures = [Image.fromarray(image.squeeze(2).numpy())]
        for kind in (*kinds, *pictures):
            assert to_input(kind, **inputs_of(data)).equal(expected)


def _pictures() -> dict[str, Image.Image]:
    """Return pictures of many kinds by the name of a file that keeps them."""
    color = Image.fromarray(RANDOM.integers(0, 256, (30, 41, 3), dtype=np.uint8))
    large = Image.fromarray(RANDOM.integers(0, 256, (300, 500, 3), dtype=np.uint8))
    deep = Image.fromarray(RANDOM.integers(0, 65536, (19, 23), dtype=np.uint16))
    clear = Image.fromarray(RANDOM.integers(0, 256, (25, 25, 4), dtype=np.uint8))
    turned = color.copy()
    turned.getexif()[0x0112] = 6
    kinds = {"rgb.png": color, "gray.png": color.convert("L"), "palette.gif": color.convert("P"), "deep.png": deep}
    kinds |= {"clear.png": clear, "clear_gray.png": clear.convert("LA"), "large.jpg": large}
    return kinds | {"turned.jpg": turned, "cmyk.jpg": color.convert("CMYK"), "bit.png": color.convert("1")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for name, picture in _pictures().items():
            for label in ("a", "b"):
                (tmp_path / part / label).mkdir(parents=True, exist_ok=True)
                picture.save(tmp_path / part / label / name, exif=picture.getexif())
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("crop_margin", [0, 3])
def test_files_become_what_the_loader_serves(folder: Path, channels: Any, crop_margin: int) -> None:
    data = ImageFolder(folder, image_size=[16, 20], channels=channels, crop_margin=crop_margin)
    data.setup()
    paths = [path for label in ("a", "b") for path in sorted((folder / "test" / label).iterdir())]
    assert len(paths) == 2 * len(_pictures())
    for path, expected in zip(paths, served(data), strict=True):
        assert to_input(path, **inputs_of(data)).equal(expected), path.name
        assert to_input(str(path), **inputs_of(data)).equal(expected)
        with Image.open(path) as picture:
            size = picture.size
            assert to_input(picture, **inputs_of(data)).equal(expected), path.name
            assert picture.size == size, "the caller's picture stays as it is"


# What a checkpoint keeps


def test_a_checkpoint_keeps_inputs_as_plain_data(folder: Path, tmp_path: Path) -> None:
    data = ImageFolder(folder, image_size=[16, 20], crop_margin=3)
    data.setup("fit")
    torch.save({"ImageFolder": data.state_dict()}, tmp_path / "state.ckpt")
    inputs = torch.load(tmp_path / "state.ckpt", weights_only=True)["ImageFolder"]["inputs"]
    augmentation = data.augmentation
    assert inputs == {
        "class_names": ["a", "b"],
        "image_shape": [16, 20, 3],
        "mean": list(augmentation.mean),
        "std": list(augmentation.std),
        "crop_margin": 3,
    }


def test_a_checkpoint_without_inputs_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of earlier releases have none."""
    fabricate(monkeypatch)
    data = CIFAR10()
    data.setup("fit")
    data.load_state_dict({"noise_hash": data.noise_hash})


def test_images_of_another_shape_are_refused_by_a_checkpoint(folder: Path) -> None:
    """What comes of them would stand in the result of the run as its own."""

    def opened(**arguments: Any) -> NoisyDataModule:
        data = ImageFolder(folder, **arguments)
        data.setup("fit")
        return data

    state = opened(image_size=16, crop_margin=2).state_dict()
    with pytest.raises(InputError, match=r"data\.image_size: the weights were trained on images of 16×16×3, these"):
        opened(image_size=20).load_state_dict(state)
    with pytest.raises(InputError, match=r"data\.crop_margin: the weights were trained on images with 2, these have 0"):
        opened(image_size=16).load_state_dict(state)
    opened(image_size=16, crop_margin=2).load_state_dict(state)
    del state["inputs"]["crop_margin"]  # as the first releases that kept inputs have it
    opened(image_size=16).load_state_dict(state)
