import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch import Tensor

from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.training.callbacks.transition import transition_error, transition_of
from tests.conftest import SMALL
from tests.training.callbacks.scripted import Scripted


def _error_by_loops(matrix: list[list[float]], labels: list[int], true_labels: list[int]) -> float:
    differences = []
    for i, row in enumerate(matrix):
        given = [label for label, true in zip(labels, true_labels, strict=True) if true == i]
        differences += [abs(share - given.count(j) / len(given)) for j, share in enumerate(row) if given]
    return sum(differences) / len(differences)


def test_the_error_is_the_mean_difference_over_the_cells_that_are_known() -> None:
    labels, true_labels = [0, 0, 1, 2, 2, 0, 1], [0, 0, 0, 2, 2, -1, 2]
    matrix = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]
    error = transition_error(torch.tensor(matrix), torch.tensor(labels), torch.tensor(true_labels))
    assert error == pytest.approx(_error_by_loops(matrix, labels, true_labels))
    assert error is not None
    assert error > 0.05


def test_without_any_true_label_there_is_no_error() -> None:
    assert transition_error(torch.eye(3), torch.arange(3), torch.full((3,), -1)) is None


def test_a_module_that_has_no_method_has_no_matrix() -> None:
    module: L.LightningModule = Scripted()
    assert transition_of(module) is None


def _outcome(folder: Path) -> tuple[Any, list[dict[str, str]], list[int]]:
    """Return what result.json says of the matrix, the rows of metrics.csv and the epochs with a picture."""
    board = EventAccumulator(str(folder))
    board.Reload()
    tag = "train_samples/transition_matrix"
    pictures = [event.step for event in board.Images(tag)] if tag in board.Tags()["images"] else []
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return json.loads((folder / "result.json").read_text())["transition"], rows, pictures


def test_an_estimated_matrix_is_shown_from_when_it_is_known(run: Callable[..., int], tmp_path: Path) -> None:
    warm_up = ("--model.method", "ForwardCorrection", "--model.method.warm_up", "2", "--trainer.max_epochs", "4")
    assert run("fit", *SMALL, *warm_up, "--recorder.pictures", "true") == 0
    folder = tmp_path / "runs/default/0"
    transition, rows, pictures = _outcome(folder)
    _, labels = read_manifest(folder)
    saved: dict[str, Tensor] = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    matrix = saved["method.noise.matrix"]
    torch.testing.assert_close(torch.tensor(transition["estimated"]), matrix, rtol=0, atol=1e-6)
    expected = _error_by_loops(matrix.tolist(), labels.given_labels.tolist(), labels.true_labels.tolist())
    assert transition["mean_absolute_error"] == pytest.approx(expected)
    assert [row["method/transition_error"] != "" for row in rows] == [False, False, True, True]
    assert float(rows[-1]["method/transition_error"]) == pytest.approx(expected)
    assert float(rows[-1]["method/noise_rate"]) == pytest.approx(1 - matrix.diagonal().mean().item())
    assert pictures == [4]  # pictures are made after 1, 2, 4 epochs


def test_a_method_without_a_matrix_has_none_to_show(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("fit", *SMALL, "--recorder.pictures", "true") == 0
    transition, rows, pictures = _outcome(tmp_path / "runs/default/0")
    assert transition is None
    assert "method/transition_error" not in rows[0]
    assert not pictures
