import math

import pytest
import torch

from noisy_lightning.data.loading.sampling import appearances, served_counts

SIZES = torch.tensor([5000, 0, 50, 51, 1, 700])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("natural", [5000, 0, 50, 51, 1, 700]),
        ("undersample", [1, 0, 1, 1, 1, 1]),
        ("oversample", [5000, 0, 5000, 5000, 5000, 5000]),
    ],
)
def test_classes_are_served_as_the_name_says(sampling, expected) -> None:
    assert served_counts(SIZES, sampling).tolist() == expected


def test_square_roots_share_out_as_many_samples_as_there_are() -> None:
    served = served_counts(SIZES, "sqrt")
    total = sum(SIZES.tolist())
    roots = [math.sqrt(size) for size in SIZES.tolist()]
    assert served.sum() == total
    for count, root in zip(served.tolist(), roots, strict=True):
        assert abs(count - total * root / sum(roots)) < 1
    assert served_counts(torch.tensor([4, 4, 4]), "sqrt").tolist() == [4, 4, 4]
    # Each share is 2.5 or 5: what rounding leaves goes to the first of equals.
    assert served_counts(torch.tensor([1, 1, 4, 0, 4]), "sqrt").tolist() == [2, 2, 3, 0, 3]
    assert served_counts(torch.tensor([1, 1, 9]), "sqrt").tolist() == [2, 2, 7]
    assert served_counts(torch.tensor([1, 1_000_000]), "sqrt")[0] == 999


def test_within_a_class_samples_appear_equally_often_the_first_ones_once_more() -> None:
    classes = torch.tensor([2, 0, 2, 0, 0, 2, 4])
    served = torch.tensor([7, 0, 2, 0, 3])
    assert appearances(classes, served).tolist() == [1, 3, 1, 2, 2, 0, 3]
