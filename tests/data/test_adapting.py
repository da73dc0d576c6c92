"""Test images of another data set in the shape of this one's."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from noisy_lightning.data.adapting import adapted, reshaped, same_classes, without_images
from noisy_lightning.data.sets.image_files import ImageFiles
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError


def images(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_images_of_the_right_shape_stay() -> None:
    source = Source(images(5, 6, 7, 3), torch.arange(5))
    same = adapted("more", source, (6, 7, 3), range(5))
    assert same.images is source.images
    assert same.labels.equal(source.labels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(3, 9), (12, 10)])
def test_sizes_change_by_antialiased_bilinear_interpolation(channels: int, size: tuple[int, int]) -> None:
    before = images(5, 6, 7, channels)
    after = torch.as_tensor(adapted("more", Source(before, torch.arange(5)), (*size, channels), range(5)).images)
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


def test_labels_become_those_of_the_data_set() -> None:
    source = Source(images(3, 6, 7, 3), torch.tensor([0, 1, 0]))
    assert adapted("more", source, (6, 7, 3), [4, 2]).labels.tolist() == [4, 2, 4]


def test_images_that_are_not_in_memory_are_refused() -> None:
    source = Source(ImageFiles(Path("images"), ["0.png"], (6, 7, 3)), torch.zeros(1, dtype=torch.int64))
    message = r"^data\.test_sets\.more: image_size must be \[6, 8\] as here, or cache_gib larger$"
    with pytest.raises(InputError, match=message):
        adapted("more", source, (6, 8, 3), range(4))


NAMES = ["cat", "dog", "fox"]


@pytest.mark.parametrize(
    ("found", "numbers", "remark"),
    [
        (NAMES, [0, 1, 2], ""),
        (["fox", "cat"], [2, 0], "data.test_sets.more has no class dog"),
        (["dog", "fox", "cat"], [1, 2, 0], "data.test_sets.more has the classes in another order, which its names say"),
        (
            ["0", "1", "2"],
            [0, 1, 2],
            "data.test_sets.more: its classes are taken in their order, as names say nothing: 0 is cat, 1 is dog, "
            "2 is fox",
        ),
    ],
)
def test_classes_are_found_by_name(found: list[str], numbers: list[int], remark: str) -> None:
    assert [list(part) if isinstance(part, range | list) else part for part in same_classes("more", found, NAMES)] == [
        numbers,
        remark,
    ]


def test_numbers_of_another_data_set_are_classes_by_name_too() -> None:
    digits = [str(digit) for digit in range(10)]
    assert list(same_classes("more", ["3", "7"], digits).numbers) == [3, 7]
    assert list(same_classes("more", ["a", "b"], ["0", "1"]).numbers) == [0, 1]


@pytest.mark.parametrize(
    ("found", "expected", "lacking"),
    [
        (["a", "b", "c"], NAMES, "a, b, c; it has cat, dog, fox"),
        (["cat", "Dog"], NAMES, "Dog; it has cat, dog, fox; did you mean dog?"),
        ([*NAMES, "owl"], NAMES, "owl; it has cat, dog, fox"),
        (["0", "1"], NAMES, "0, 1; it has cat, dog, fox"),
        (["0", "1", "2", "3"], ["0", "1", "2"], "3; it has 0, 1, 2"),
        ([str(number) for number in range(7)], NAMES, "0, 1, 2, 3, 4 and 2 more; it has cat, dog, fox"),
    ],
)
def test_classes_that_the_data_set_lacks_are_refused_by_name(
    found: list[str], expected: list[str], lacking: str
) -> None:
    with pytest.raises(InputError) as error:
        same_classes("more", found, expected)
    assert str(error.value) == f"data.test_sets.more has classes that this data set lacks: {lacking}"


def test_classes_without_a_test_image_are_named() -> None:
    assert without_images(torch.tensor([0, 2, 2]), NAMES) == "dog"
    assert without_images(torch.tensor([0, 1, 2]), NAMES) == ""
