"""What a data set is given is checked by the names of its keys."""

import pytest

from noisy_lightning.data.arguments import check_alike, check_statistics
from noisy_lightning.errors import InputError


@pytest.mark.parametrize(
    ("mean", "std"), [([1.5], None), ([-0.1], None), ([float("nan")], None), (None, [0.0]), (None, [float("nan")])]
)
def test_statistics_out_of_their_range_are_refused(mean: list[float] | None, std: list[float] | None) -> None:
    with pytest.raises(InputError, match=r"a number .*, one per channel, got"):
        check_statistics(mean, std, 1)


def test_statistics_of_images_are_taken() -> None:
    check_statistics([0.0, 0.5, 1.0], [0.1, 1.0, 2.0], 3)
    with pytest.raises(InputError, match="3 numbers"):
        check_statistics([0.5], None, 3)


def test_classes_that_differ_by_case_only_are_refused_unless_they_are_letters() -> None:
    check_alike("data.root", ["a", "A", "b", "cat", "dog"], "rename one")
    with pytest.raises(InputError, match=r"data\.root: the classes 'Cat' and 'cat' differ by case only: rename one"):
        check_alike("data.root", ["Cat", "bird", "cat"], "rename one")
