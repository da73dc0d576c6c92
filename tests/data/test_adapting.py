"""Test images of another data set in the shape of this one's."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from noisy_lightning.data.adapting import adapted, check_same_classes, reshaped
from noisy_lightning.data.sets.image_files import ImageFiles
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_images_of_the_right_shape_stay() -> None:
    source = Source(images(5, 6, 7, 3), torch.arange(5))
    assert adapted("more", source, (6, 7, 3), 5) is source


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(3, 9), (12, 10)])
def test_sizes_change_by_antialiased_bilinear_interpolation(channels: int, size: tuple[int, int]) -> None:
    before = images(5, 6, 7, channels)
    after = torch.as_tensor(adapted("more", Source(before, torch.arange(5)), (*size, channels), 5).images)
    expected = F.interpolate(before.permute(0, 3, 1, 2).float(), size, mode="bilinear", antialias=True)
    torch.testing.assert_close(after.permute(0, 3, 1, 2).float(), expected, atol=1.01, rtol=0)
    assert after.is_contiguous()


def test_gray_is_repeated_and_color_weighted() -> None:
    gray, color = images(5, 6, 7, 1), images(5, 6, 7, 3)
    assert reshaped(gray, (6, 7, 3)).equal(gray.expand(5, 6, 7, 3))
    weighted = color.double() @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    torch.testing.assert_close(
        reshaped(color, (6, 7, 1)).squeeze(3).double(), weighted, atol=1.5, rtol=0
    )  # it truncates


def test_further_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"^data\.test_sets\.more has classes beyond the 4 of this data set$"):
        adapted("more", Source(images(5, 6, 7, 3), torch.arange(5)), (6, 7, 3), 4)


def test_images_that_are_not_in_memory_are_refused() -> None:
    source = Source(ImageFiles(Path("images"), ["0.png"], (6, 7, 3)), torch.zeros(1, dtype=torch.int64))
    message = r"^data\.test_sets\.more: image_size must be \[6, 8\] as here, or cache_gib larger$"
    with pytest.raises(InputError, match=message):
        adapted("more", source, (6, 8, 3), 4)


def test_a_test_set_has_as_many_classes_or_the_first_ones_by_name() -> None:
    names = ["cat", "dog", "fox"]
    check_same_classes("more", ["a", "b", "c"], names)
    check_same_classes("more", ["cat", "dog"], names)
    for found in (["dog", "fox"], [*names, "owl"]):
        with pytest.raises(InputError, match=r"data\.test_sets\.more must have the 3 classes .* cat, dog, fox, .* has"):
            check_same_classes("more", found, names)
