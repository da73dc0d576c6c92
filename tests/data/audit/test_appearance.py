import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from noisy_lightning.data.audit import appearance
from noisy_lightning.data.audit.appearance import Appearance, describe
from tests.data.audit.pictures import Pixels, photographs


def look(pictures: Pixels) -> Appearance:
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return describe(lambda index: images[index], np.arange(len(images)), pictures.shape[1] * pictures.shape[2])


def test_measures_are_those_of_the_gray_image() -> None:
    pictures = photographs(5, side=24)
    seen = look(pictures)
    for at, picture in enumerate(pictures):
        gray = picture @ np.array([0.299, 0.587, 0.114])
        assert seen.deviation[at] == pytest.approx(gray.std(), rel=1e-4)
        whole = np.rint(gray.astype(np.float32)).ravel()
        assert seen.dark_end[at] == np.sort(whole)[int(np.ceil(0.05 * 576)) - 1]
        assert seen.bright_end[at] == np.sort(whole)[int(np.ceil(0.99 * 576)) - 1]
        share = np.unique(whole, return_counts=True)[1] / 576
        assert seen.entropy[at] == pytest.approx(-(share * np.log2(share)).sum(), rel=1e-5)
        padded = np.pad(gray, 1, mode="edge")
        laplacian = 4 * gray - padded[2:, 1:-1] - padded[:-2, 1:-1] - padded[1:-1, 2:] - padded[1:-1, :-2]
        assert seen.sharpness[at] == pytest.approx(laplacian.var(), rel=1e-4)
        cells = np.array([[gray[3 * row : 3 * row + 3, :].mean(0)] for row in range(8)])[:, 0]
        columns = np.stack([_mean(cells, 24 * at / 9, 24 * (at + 1) / 9) for at in range(9)], 1)
        bits = np.unpackbits(np.array([seen.dhash[at]]).view(np.uint8)).reshape(8, 8)
        np.testing.assert_array_equal(bits, columns[:, 1:] > columns[:, :-1])


def _mean(lines: np.ndarray, start: float, end: float) -> np.ndarray:
    """Return the means of columns (n, w) between two edges."""
    weights = np.clip(
        np.minimum(np.arange(lines.shape[1]) + 1, end) - np.maximum(np.arange(lines.shape[1]), start), 0, 1
    )
    return np.asarray(lines @ weights / weights.sum())


def test_blocks_and_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = photographs(23)
    whole = look(pictures)
    monkeypatch.setattr(appearance, "_AT_ONCE", 4 * 32 * 32)
    parted = look(pictures)
    assert whole.digest == parted.digest
    for one, other in zip(whole[1:], parted[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_only_the_positions_asked_for_are_read_once() -> None:
    images, read = torch.from_numpy(photographs(6)).permute(0, 3, 1, 2), []

    def image(index: Tensor) -> Tensor:
        read.extend(index.tolist())
        return images[index]

    assert len(describe(image, np.array([4, 1, 5]), 1024).digest) == 3
    assert sorted(read) == [1, 4, 5]


def test_a_large_image_is_as_sharp_as_its_small_copy() -> None:
    small = photographs(1, side=64)
    large = np.array(Image.fromarray(small[0]).resize((256, 256), Image.Resampling.NEAREST))[None]
    assert look(large).sharpness[0] == pytest.approx(look(small).sharpness[0], rel=1e-4)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (5, 2, 1)])
def test_images_of_a_few_pixels_have_no_undefined_measure(shape: tuple[int, int, int]) -> None:
    seen = look(np.full((2, *shape), 7, np.uint8))
    assert seen.dhash.tolist() == [0, 0]
    assert (seen.thumbnail == 7).all()
    assert seen.dark_end.tolist() == seen.bright_end.tolist() == [7, 7]
    for measure in (seen.deviation, seen.entropy, seen.sharpness):
        np.testing.assert_allclose(measure, 0, atol=1e-6)
