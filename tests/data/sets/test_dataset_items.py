from typing import Any

import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from noisy_lightning.data.sets.dataset_items import DatasetItems

IMAGES, LABELS = torch.zeros(6, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1, 2])


class Listed(Dataset[Any]):
    """A data set that has a list of its labels."""

    def __init__(self, targets: list[int]) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return 6

    def __getitem__(self, position: int) -> tuple[Any, int]:
        return IMAGES[position], int(LABELS[position])


def _listed(dataset: Any) -> list[object] | None:
    return DatasetItems("data.dataset", dataset).listed_labels()


def test_the_labels_of_a_part_are_those_of_its_positions() -> None:
    """So that nothing needs to be read to know them."""
    for whole in (Listed(LABELS.tolist()), TensorDataset(IMAGES, LABELS)):
        assert _listed(whole) == LABELS.tolist()
        assert _listed(Subset(whole, [5, 0, 4])) == [2, 0, 1]
        assert _listed(Subset(Subset(whole, [5, 0, 4]), [2, 1])) == [1, 0]


def test_a_list_that_says_otherwise_than_the_items_is_not_believed() -> None:
    assert _listed(Listed([0, 1, 2, 0, 1, 1])) is None
    assert _listed(Listed([0, 1])) is None
