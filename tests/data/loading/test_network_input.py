"""An image on its own becomes what the test loader serves, bit for bit, whatever kind of object it is."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from noisy_lightning.data import CIFAR10, MNIST, ImageFolder, NoisyDataModule
from noisy_lightning.data.loading.decoding import decode, to_pixels
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


def test_a_picture_that_has_been_read_is_used_as_it_is(tmp_path: Path) -> None:
    """A JPEG file may be read at a reduced size; one in memory, or what was drawn on it, may not."""
    picture = _pictures()["large.jpg"]
    picture.save(tmp_path / "large.jpg", quality=95)
    with Image.open(tmp_path / "large.jpg") as opened:
        opened.paste("red", (0, 0, 500, 300))
        assert (to_pixels(opened, (4, 4, 3))[..., 1:] < 10).all()
    buffer = io.BytesIO((tmp_path / "large.jpg").read_bytes())
    difference = to_pixels(Image.open(buffer), (16, 16, 3)).astype(int) - decode(tmp_path / "large.jpg", (16, 16, 3))
    assert np.abs(difference).max() < 40
    assert np.abs(difference).mean() < 4


def test_where_both_ends_could_be_channels_the_library_decides() -> None:
    values = RANDOM.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    assert (to_pixels(values, (3, 5, 3)) == values).all()
    assert (to_pixels(torch.from_numpy(values), (5, 3, 3)) == values.transpose(1, 2, 0)).all()


def test_gray_and_color_change_into_each_other() -> None:
    gray = RANDOM.integers(0, 256, (6, 7), dtype=np.uint8)
    for shape in ((6, 7), (6, 7, 1), (1, 6, 7)):
        assert (to_pixels(gray.reshape(shape), (6, 7, 3)) == gray[:, :, None]).all()
    color = RANDOM.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    expected = color @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_pixels(color, (6, 7, 1))[:, :, 0] - expected).max() <= 1


def test_another_size_is_scaled_by_the_shorter_side_and_cut_from_the_center() -> None:
    stripes = np.repeat(np.array([0, 100, 200], dtype=np.uint8), 4)[None, :].repeat(4, 0)  # (4, 12)
    assert (to_pixels(stripes, (4, 4, 1)) == 100).all()
    assert (to_pixels(stripes, (8, 8, 1))[:, 2:6] == 100).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floating_point_numbers_are_rounded_to_the_eight_bits_that_they_come_from(dtype: torch.dtype) -> None:
    values = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    assert (to_pixels((values.double() / 255).to(dtype), (16, 16, 1))[:, :, 0] == values[0].numpy()).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(3, 4, 4, dtype=torch.int64), "must be uint8, or floating-point in .* got int64: scale"),
        (np.zeros((4, 4), bool), "got bool"),
        (np.zeros((4, 4), np.uint16), "got uint16"),
        (torch.full((3, 4, 4), 1.5), r"must be in \[0, 1\], got 1.5 to 1.5"),
        (torch.full((3, 4, 4), -0.1), r"must be in \[0, 1\], got -0.1"),
        (torch.full((3, 4, 4), torch.nan), r"must be in \[0, 1\], got nan"),
        (torch.zeros(4, 4, 4), r"with 1 or 3 channels, got \(4, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), r"with 1 or 3 channels, got \(2, 3, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"got \(0, 4, 3\)"),
        (np.zeros(4, np.uint8), r"got \(4,\)"),
        ([[0, 1], [2, 3]], "must be a picture of Pillow, an array or a tensor, got list"),
        (None, "got NoneType"),
        (Image.new("F", (4, 4)), "a picture of mode F cannot be used: its pixels are floating-point"),
        ("missing.png", "missing.png cannot be read: No such file"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        to_input(image, (4, 4, 3), [0.5] * 3, [0.5] * 3)
    assert "\n" not in str(error.value)


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
