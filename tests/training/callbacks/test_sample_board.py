"""What the pictures in loggers are given to show."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from noisy_lightning.figures.style import new_figure
from noisy_lightning.runs.measures import EpochRecord
from noisy_lightning.training.callbacks import sample_board
from noisy_lightning.training.callbacks.sample_board import pictures_of

LABELS = torch.tensor([0, 1, 0, 1, 0, 1])
TRUE = torch.tensor([0, 0, -1, -2, 0, 1])
LOSS = np.array([0.1, 3.0, 2.0, 4.0, np.nan, 0.2], np.float32)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Return what the pictures of an epoch get, by the name of what draws them."""
    given: dict[str, Any] = {}

    def noted(name: str) -> Any:
        def draw(*arguments: Any, **named: Any) -> Any:
            given[name] = arguments, named
            return new_figure(1, 1, "")

        return draw

    for name in ("sample_grid", "loss_histograms"):
        monkeypatch.setattr(sample_board, name, noted(name))
    data = SimpleNamespace(
        labels=LABELS,
        true_labels=TRUE,
        class_names=["cat", "dog"],
        epoch_labels=lambda epoch: LABELS,
        train_images=lambda index: index.view(-1, 1, 1, 1).to(torch.uint8),
    )
    monkeypatch.setattr(sample_board, "_GRID_ROWS", 1)
    monkeypatch.setattr(sample_board, "_GRID_COLUMNS", 5)
    prediction = np.where(np.isnan(LOSS), -1, 0)
    assert [name for name, _ in pictures_of(tmp_path, 4, EpochRecord(LOSS, LOSS, prediction), data)] == [
        "loss_histograms",
        "highest_losses",  # and no course: there is no record
    ]
    return given


def test_the_highest_losses_come_first_and_what_was_not_seen_not_at_all(shown: dict[str, Any]) -> None:
    (images,), named = shown["sample_grid"]
    assert images.ravel().tolist() == [3, 1, 2, 5, 0]
    assert named["given"].tolist() == ["dog", "dog", "cat", "dog", "cat"]
    assert named["true"] == ["none of these", "cat", None, "dog", "cat"]
    assert named["values"].tolist() == LOSS[[3, 1, 2, 5, 0]].tolist()


def test_samples_without_a_known_true_label_are_neither_clean_nor_noisy(shown: dict[str, Any]) -> None:
    (_, clean, noisy, _), _ = shown["loss_histograms"]
    assert clean.tolist() == [True, False, False, False, True, True]
    assert noisy.tolist() == [False, True, False, True, False, False]


def test_titles_count_epochs_from_one(shown: dict[str, Any]) -> None:
    assert shown["loss_histograms"][0][3] == "epoch 5"
    assert shown["sample_grid"][1]["title"].startswith("epoch 5:")
