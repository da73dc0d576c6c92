"""One image of any kind and size as pixels of one shape."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisy_lightning.data.loading.decoding import decode, size_of, to_pixels
from noisy_lightning.errors import InputError

RANDOM = np.random.default_rng(0)


def test_a_picture_that_has_been_read_is_used_as_it_is(tmp_path: Path) -> None:
    """A JPEG file may be read at a reduced size; one in memory, or what was drawn on it, may not."""
    picture = Image.fromarray(RANDOM.integers(0, 256, (300, 500, 3), dtype=np.uint8))
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
    ],
)
def test_what_is_no_image_is_refused_in_one_line(image: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        to_pixels(image, (4, 4, 3))
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.png cannot be read: No such file"):
        decode(tmp_path / "missing.png", (4, 4, 3))
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(InputError, match=r"text\.png cannot be read: it is no image of a known kind"):
        decode(tmp_path / "text.png", (4, 4, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_picture_is_that_which_it_has_upright(orientation: int) -> None:
    picture = Image.new("L", (7, 5))
    picture.getexif()[0x0112] = orientation
    height, width = size_of(picture)
    assert (height, width) == ((5, 7) if orientation < 5 else (7, 5))
    assert (to_pixels(picture, (height, width, 1)) == 0).all()


def test_the_size_of_an_array_is_that_of_its_pixels() -> None:
    for array in (np.zeros((5, 7), np.uint8), np.zeros((5, 7, 3), np.uint8), np.zeros((3, 5, 7), np.uint8)):
        assert size_of(array) == size_of(torch.from_numpy(array).float()) == (5, 7)


def test_sixteen_bits_become_eight_by_a_division_by_257() -> None:
    """0 stays black, 65535 becomes white, and the multiples of 257 are what eight bits were stored as."""
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    assert (to_pixels(Image.fromarray(257 * values), (16, 16, 1))[:, :, 0] == values).all()
    # Values between two of eight bits become the nearer one.
    between = (257 * values.astype(int) + np.where(values % 2, 128, -128)).clip(0, 65535).astype(np.uint16)
    assert (to_pixels(Image.fromarray(between), (16, 16, 1))[:, :, 0] == values).all()
    assert (to_pixels(Image.fromarray(np.full((2, 2), 65535, np.int32)), (2, 2, 1)) == 255).all()


UPRIGHT = np.array([[0, 50, 100], [150, 200, 250]], dtype=np.uint8)
STORED = {  # by EXIF orientation: what a camera wrote that was held so
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_a_photograph_is_turned_upright(orientation: int, tmp_path: Path) -> None:
    picture = Image.fromarray(np.ascontiguousarray(STORED[orientation]))
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "photo.png", exif=exif)
    assert (decode(tmp_path / "photo.png", (2, 3, 1))[:, :, 0] == UPRIGHT).all()
    with Image.open(tmp_path / "photo.png") as opened:
        assert (to_pixels(opened, (2, 3, 1))[:, :, 0] == UPRIGHT).all()


def test_a_large_jpeg_is_read_at_no_less_than_twice_the_size(tmp_path: Path) -> None:
    """Read at the very size, a noisy picture would differ by 8 on average from one that is read whole and scaled."""
    Image.fromarray(RANDOM.integers(0, 256, (128, 128, 3), dtype=np.uint8)).save(tmp_path / "large.jpg", quality=95)
    with Image.open(tmp_path / "large.jpg") as whole:
        whole.load()
        expected = to_pixels(whole.copy(), (32, 32, 3)).astype(int)
    assert np.abs(decode(tmp_path / "large.jpg", (32, 32, 3)) - expected).mean() < 4


def test_the_page_that_was_chosen_of_several_is_used(tmp_path: Path) -> None:
    red, blue = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    red.save(tmp_path / "two.mpo", save_all=True, append_images=[blue])
    with Image.open(tmp_path / "two.mpo") as pages:
        pages.seek(1)
        assert to_pixels(pages, (1, 1, 3)).ravel() == pytest.approx([0, 0, 255], abs=3)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    picture.paste((10, 20, 30, 255), (0, 0, 2, 4))
    picture.save(tmp_path / "logo.png")
    pixels = decode(tmp_path / "logo.png", (4, 4, 3))
    assert (pixels[:, :2] == [10, 20, 30]).all()
    assert (pixels[:, 2:] == 255).all()


def test_an_image_that_is_too_large_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (3000, 2000)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it has been decoded"))
    with pytest.raises(InputError, match=r"it has 6 million pixels, data\.max_megapixels allows 5"):
        decode(tmp_path / "large.png", (4, 4, 1), 5)
    monkeypatch.undo()
    assert decode(tmp_path / "large.png", (4, 4, 1), 6).shape == (4, 4, 1)


def test_of_a_jpeg_that_is_reduced_only_what_is_left_counts(tmp_path: Path) -> None:
    Image.new("L", (3000, 2000)).save(tmp_path / "large.jpg")
    assert decode(tmp_path / "large.jpg", (4, 4, 1), 0.1).shape == (4, 4, 1)


def test_what_pillow_finds_too_large_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (300, 200)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="more than Pillow opens"):
        decode(tmp_path / "large.png", (4, 4, 1))


@pytest.mark.timeout(60)
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(InputError, match="is no regular file"):
            decode(tmp_path / f"{name}.png", (4, 4, 3))
