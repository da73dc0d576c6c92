"""Files of every kind that photographs come in, written here, as pixels."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noisy_lightning.data import ImageFolder
from noisy_lightning.data.loading import opening
from noisy_lightning.data.loading.decoding import decode
from noisy_lightning.data.loading.opening import SUFFIXES, unread_heic
from noisy_lightning.errors import InputError
from tests.heic import HEIC, forget_heic

CORNERS = np.array([[[200, 30, 40], [20, 180, 60]], [[30, 60, 220], [240, 240, 20]]], np.uint8)
COLORS = CORNERS.repeat(32, 0).repeat(32, 1)  # 64 × 64: a patch of one color in each corner
RAMP = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)


def corners(path: Path) -> np.ndarray:
    """Return what has been read of the middle of each patch."""
    return decode(path, (64, 64, 3))[16::32, 16::32].astype(int)


def png(path: Path, pixels: np.ndarray, kind: int) -> None:
    """Write a PNG of 16 bits a channel, which Pillow writes in gray only; 2, 4 and 6 are RGB, LA and RGBA."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize("suffix", [one for one in SUFFIXES if one not in opening.HEIC_SUFFIXES])
def test_every_suffix_is_one_of_a_file_that_is_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    gray = suffix == ".pgm"
    picture = Image.fromarray(COLORS).convert("L" if gray else "RGB")
    picture.save(path, format={".jfif": "JPEG", ".jpe": "JPEG"}.get(suffix))
    near = 20 if suffix == ".gif" else 8
    expected = np.asarray(picture.convert("RGB"))[16::32, 16::32].astype(int)
    assert np.abs(corners(path) - expected).max() <= near


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".avif", ".png", ".tiff"])
def test_of_several_frames_the_first_is_read(suffix: str, tmp_path: Path) -> None:
    others = [Image.new("RGB", (64, 64), color) for color in ("black", "white")]
    path = tmp_path / f"moving{suffix}"
    Image.fromarray(COLORS).save(path, save_all=True, append_images=others)
    with Image.open(path) as picture:
        assert picture.n_frames == 3  # type: ignore[attr-defined]
    assert np.abs(corners(path) - CORNERS).max() <= 20


def test_of_an_icon_the_largest_picture_is_read(tmp_path: Path) -> None:
    small = Image.new("RGB", (16, 16), "black")
    Image.fromarray(COLORS).save(tmp_path / "a.ico", sizes=[(16, 16), (64, 64)], append_images=[small])
    assert np.abs(corners(tmp_path / "a.ico") - CORNERS).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2"])
def test_sixteen_bits_of_gray_become_eight(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / f"a{suffix}")
    read = decode(tmp_path / f"a{suffix}", (8, 8, 1))[..., 0]
    assert np.abs(read - RAMP / 257).max() <= 1


@pytest.mark.parametrize("kind", [2, 4, 6])
def test_sixteen_bits_of_color_become_eight(kind: int, tmp_path: Path) -> None:
    full = np.full_like(RAMP, 65535)
    color = np.stack([RAMP, RAMP[::-1], RAMP.T], -1)
    pixels = {2: color, 4: np.stack([RAMP, full], -1), 6: np.concatenate([color, full[..., None]], -1)}[kind]
    png(tmp_path / "a.png", pixels, kind)
    expected = color if kind != 4 else np.stack([RAMP] * 3, -1)
    assert np.abs(decode(tmp_path / "a.png", (8, 8, 3)) - expected / 257).max() <= 1


def test_ink_becomes_light(tmp_path: Path) -> None:
    """CMYK is stored inverted, as Photoshop does it; a file that lost the marker that says so is read alike."""
    Image.fromarray(COLORS).convert("CMYK").save(tmp_path / "adobe.jpg", quality=95)
    content = (tmp_path / "adobe.jpg").read_bytes()
    start = content.index(b"\xff\xee")
    length = int.from_bytes(content[start + 2 : start + 4])
    assert content[start + 4 : start + 9] == b"Adobe"
    (tmp_path / "plain.jpg").write_bytes(content[:start] + content[start + 2 + length :])
    for name in ("adobe", "plain"):
        assert np.abs(corners(tmp_path / f"{name}.jpg") - CORNERS).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_the_transparent_color_of_a_palette_is_white(suffix: str, tmp_path: Path) -> None:
    picture = Image.fromarray(COLORS).quantize(8)
    clear = picture.getpixel((16, 16))
    picture.save(tmp_path / f"a{suffix}", transparency=clear)
    expected = CORNERS.copy()
    expected[0, 0] = 255
    assert np.abs(corners(tmp_path / f"a{suffix}") - expected).max() <= 4


def test_gray_with_transparency_is_in_front_of_white(tmp_path: Path) -> None:
    pixels = np.stack([np.full((64, 64), 40, np.uint8), np.full((64, 64), 255, np.uint8)], -1)
    pixels[:32, :32, 1] = 0
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == "LA"
    assert corners(tmp_path / "a.png")[..., 0].tolist() == [[255, 40], [40, 40]]


@pytest.mark.parametrize("suffix", [".jpg", ".jfif", ".webp", ".avif", ".tif"])
def test_a_photograph_of_any_kind_is_turned_upright(suffix: str, tmp_path: Path) -> None:
    picture = Image.fromarray(np.rot90(COLORS).copy())
    exif = picture.getexif()
    exif[0x0112] = 6
    arguments: dict[str, Any] = {"quality": 95} if suffix != ".tif" else {}
    picture.save(tmp_path / f"a{suffix}", exif=exif, format="JPEG" if suffix == ".jfif" else None, **arguments)
    assert np.abs(corners(tmp_path / f"a{suffix}") - CORNERS).max() <= 20


def test_the_content_of_a_file_counts_and_not_its_name(tmp_path: Path) -> None:
    Image.fromarray(COLORS).save(tmp_path / "a.jpg", format="PNG")
    assert (corners(tmp_path / "a.jpg") == CORNERS).all()


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("empty.jpg", lambda path: path.touch(), "it is empty"),
        ("text.jpg", lambda path: path.write_text("no picture"), "it is no image of a known kind"),
        ("half.jpg", lambda path: _half(path, "JPEG"), "image file is truncated"),
        ("half.png", lambda path: _half(path, "PNG"), "."),
        ("half.webp", lambda path: _half(path, "WEBP"), "."),
        ("half.avif", lambda path: _half(path, "AVIF"), "."),
        ("half.jp2", lambda path: _half(path, "JPEG2000"), "."),
        ("float.tif", lambda path: Image.new("F", (4, 4), 0.5).save(path), "its pixels are floating-point numbers"),
        ("long.tif", lambda path: Image.new("I", (4, 4), 70_000).save(path), "its pixels go from 70000 to 70000"),
        ("below.tif", lambda path: Image.new("I", (4, 4), -1).save(path), "its pixels go from -1 to -1"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(
    name: str, write: Callable[[Path], object], why: str, tmp_path: Path
) -> None:
    write(tmp_path / name)
    with pytest.raises(InputError, match=rf"{name} cannot be read: {why}") as refusal:
        decode(tmp_path / name, (4, 4, 3))
    assert str(refusal.value).isprintable()


def _half(path: Path, kind: str) -> None:
    random = np.random.default_rng(0)
    Image.fromarray(random.integers(0, 256, (64, 64, 3), np.uint8)).save(path, format=kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# --- HEIC


@pytest.fixture
def heic(tmp_path: Path) -> Path:
    """Return a photograph as telephones write it."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    path = tmp_path / "photo.heic"
    pillow_heif.from_pillow(Image.fromarray(COLORS)).save(path, quality=95)
    return path


@pytest.mark.parametrize("name", ["photo.heic", "PHOTO.HEIF", "called.jpg"])
def test_heic_is_read_whatever_it_is_called(name: str, heic: Path) -> None:
    heic.rename(heic.parent / name)
    assert np.abs(corners(heic.parent / name) - CORNERS).max() <= 12


def test_heic_of_the_general_brand_is_read(heic: Path) -> None:
    """Some cameras name HEIC among the compatible brands only."""
    content = bytearray(heic.read_bytes())
    assert content[4:12] == b"ftypheic"
    content[8:12] = b"mif1"
    heic.write_bytes(content)
    assert np.abs(corners(heic) - CORNERS).max() <= 12


def test_half_of_a_heic_file_is_refused(heic: Path) -> None:
    heic.write_bytes(heic.read_bytes()[:100])
    with pytest.raises(InputError, match=r"photo\.heic cannot be read: "):
        decode(heic, (4, 4, 3))


@pytest.mark.parametrize("start", [pytest.param("spawn", marks=pytest.mark.slow), "fork"])
def test_processes_of_a_loader_read_heic(start: str, heic: Path) -> None:
    for number in range(4):
        for name in ("a", "b"):
            place = heic.parent / f"images/{name}/{number}.heic"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(heic.read_bytes())
    data = ImageFolder(
        heic.parent / "images", image_size=8, cache_gib=0, workers=1, validation="none", mean=[0.5] * 3, std=[0.5] * 3
    )
    data.setup("fit")
    loader = data.train_dataloader()
    assert loader._pool is not None
    loader._pool.multiprocessing_context = start
    assert sum(len(batch.index) for batch in loader) == 8


def test_without_the_extra_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_heic(monkeypatch)
    (tmp_path / "photo.heic").write_bytes(HEIC)
    with pytest.raises(InputError, match=r"photo\.heic cannot be read: it is HEIC, which needs pip install 'noisy_li"):
        decode(tmp_path / "photo.heic", (4, 4, 3))
    assert unread_heic(["a.HEIC", "b.heif", "c.jpg"]) == ["a.HEIC", "b.heif"]
