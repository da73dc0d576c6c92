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
    check_alike("data.root", ["a", "A", "b", "cat", "dog", "é", "e"], "rename one")
    with pytest.raises(InputError, match=r"data\.root: the classes 'Cat' and 'cat' differ by case only: rename one"):
        check_alike("data.root", ["Cat", "bird", "cat"], "rename one")


@pytest.mark.parametrize(
    ("names", "how"),
    [
        (["cat ", "cat"], "blanks only"),
        (["c", " c"], "blanks only"),
        (["sea lion", "sea  lion"], "blanks only"),
        (["sea lion", "sea\xa0lion"], "blanks only"),
        (["sea lion", "sealion"], "blanks only"),
        (["caf\xe9", "cafe\u0301"], "Unicode form only, in which they look the same"),
        (["\xe9", "e\u0301"], "Unicode form only, in which they look the same"),
        (["Sea Lion", "sealion"], "case, blanks or Unicode form only"),
        (["Caf\xe9", "cafe\u0301"], "case, blanks or Unicode form only"),
        (["Straße", "STRASSE"], "case only"),
    ],
)
def test_classes_that_differ_by_blanks_or_unicode_form_are_refused(names: list[str], how: str) -> None:
    for order in (names, names[::-1]):
        with pytest.raises(InputError, match=f"^data.root: the classes '.*' and '.*' differ by {how}: rename one$"):
            check_alike("data.root", ["dog", *order], "rename one")
