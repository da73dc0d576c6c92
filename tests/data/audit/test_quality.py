from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.audit.quality import odd_pixels, odd_sizes, read_sizes
from noisy_lightning.errors import InputError
from tests.data.audit.pictures import Pixels, photographs
from tests.data.audit.test_appearance import look


def members(findings: Sequence[Findings]) -> dict[str, list[tuple[int, ...]]]:
    return {found.kind: list(found.members) for found in findings}


def test_each_odd_picture_is_found_by_its_kind_and_no_ordinary_one() -> None:
    pictures = photographs(100)
    pictures[4] = 90
    pictures[5] = np.random.default_rng(0).integers(128, 132, pictures[5].shape)  # texture that nobody sees
    pictures[10] = pictures[10] // 8
    pictures[11] = pictures[11] // 16
    pictures[20] = 243 + pictures[20] // 64 * 4
    pictures[30] = np.asarray(Image.fromarray(pictures[30]).filter(ImageFilter.GaussianBlur(6)))
    pictures[40] = np.where(np.arange(32)[:, None] < 4, 200, 60)[..., None]
    found = members(odd_pixels(look(pictures), np.arange(100) + 1000))
    assert found["nearly constant images"] == [(1004,), (1005,)]
    assert found["dark images"] == [(1011,), (1010,)]
    assert found["bright images"] == [(1020,)]
    assert (1030,) in found["blurred images"]
    assert set(found["blurred images"]) <= {(1030,), (1010,), (1011,), (1020,)}
    assert found["images of little information"] == [(1040,)]


def test_limits_are_those_of_the_rules() -> None:
    stripes = np.arange(32) % 2
    levels = np.array([81, 82, 242, 243])  # 0.32 and 0.95 of 255 are 81.6 and 242.25
    contrast = np.where(levels < 128, -20, 8)
    pictures = np.where(stripes[None, :] == 1, levels[:, None], (levels + contrast)[:, None])
    images = np.broadcast_to(pictures[:, None, :, None], (4, 32, 32, 1)).astype(np.uint8)
    found = members(odd_pixels(look(np.concatenate([images, photographs(40)[..., :1]])), np.arange(44)))
    assert found["dark images"] == [(0,)]
    assert found["bright images"] == [(3,)]


def test_what_many_images_are_is_how_the_data_set_looks_and_said() -> None:
    def found(dark: int) -> Findings:
        pictures: Pixels = photographs(20)
        pictures[:dark] = pictures[:dark] // 8
        return next(one for one in odd_pixels(look(pictures), np.arange(20)) if one.kind == "dark images")

    assert len(found(2).members) == 2
    assert found(2).remark == ""
    assert found(3).members == []
    assert found(3).remark.startswith("3 images are so, more than a tenth")
    constant = odd_pixels(look(np.full((5, 8, 8, 1), 9, np.uint8)), np.arange(5))[0]
    assert len(constant.members) == 5, "there is no data set of constant images"


def test_files_that_are_tiny_or_of_odd_shape_are_found_by_their_headers(tmp_path: Path) -> None:
    sizes = {"a.png": (64, 48), "b.jpg": (30, 200), "c.png": (15, 16), "d.png": (16, 40), "e.png": (90, 31)}
    for name, (width, height) in sizes.items():
        Image.new("RGB", (width, height)).save(tmp_path / name)
    read = read_sizes(tmp_path, list(sizes))
    assert read.tolist() == [[height, width] for width, height in sizes.values()]
    # 20 ordinary ones, of which 5 of 25 images would be more than a tenth
    read = np.concatenate([read, np.full((45, 2), 64)])
    found = odd_sizes(read, np.arange(50), 32, 32)
    assert members(found) == {"tiny images": [(2,)], "images of odd shape": [(1,), (4,)]}
    assert found[0].scores == pytest.approx([32 / 15])
    assert found[1].scores == pytest.approx([1 - 30 / 200, 1 - 31 / 90])


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.png"):
        read_sizes(tmp_path, ["a.png"])
