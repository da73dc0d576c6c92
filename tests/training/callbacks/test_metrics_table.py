import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import lightning as L
import pytest
import torch

from noisy_lightning.training.callbacks.checkpoints import LastCheckpoint
from noisy_lightning.training.callbacks.metrics_table import MetricsTable
from tests.training.callbacks.scripted import Scripted, scripted_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # of Lightning, for its own loaders
]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_epoch_has_one_row_with_what_it_logged(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    others = [{"lr": 0.5}, {"lr": 0.25}]
    scripted_trainer(tmp_path, MetricsTable(path), epochs=2).fit(Scripted([0.5, 0.75], others))
    assert _read(path) == [
        {"epoch": "0", "val/acc": "0.5", "lr": "0.5"},
        {"epoch": "1", "val/acc": "0.75", "lr": "0.25"},
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]


def test_numbers_are_read_back_exactly(tmp_path: Path) -> None:
    path, value = tmp_path / "metrics.csv", 1 / 3
    scripted_trainer(tmp_path, MetricsTable(path), epochs=1).fit(Scripted(others=[{"lr": value}]))
    assert float(_read(path)[0]["lr"]) == torch.tensor(value).item()


def test_columns_join_late(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    others = [{"loss": 1.0}, {"loss": 0.5, "late": 3.0}]
    scripted_trainer(tmp_path, MetricsTable(path), epochs=2).fit(Scripted(others=others))
    assert [row["late"] for row in _read(path)] == ["", "3.0"]
    assert path.read_text().splitlines()[0] == "epoch,loss,late"


def test_a_resumed_run_ends_with_the_table_of_an_uninterrupted_one(tmp_path: Path) -> None:
    scores = [0.5, 0.25, 0.75, 0.125]
    others = [{"loss": 1.0}, {"loss": 0.5, "late": 3.0}, {"loss": 0.25, "late": 2.0}, {"loss": 0.1, "late": 1.0}]

    def fit(folder: Path, epochs: int, **options: Any) -> str:
        folder.mkdir(exist_ok=True)
        callbacks = MetricsTable(folder / "metrics.csv"), LastCheckpoint(folder)
        scripted_trainer(folder, *callbacks, epochs=epochs).fit(Scripted(scores, others), **options)
        return (folder / "metrics.csv").read_text()

    expected = fit(tmp_path / "whole", 4)
    part = tmp_path / "part"
    fit(part, 2)
    checkpoint = (part / "last.ckpt").read_bytes()
    fit(part, 3, ckpt_path=str(part / "last.ckpt"))  # killed after this epoch's row, before its checkpoint
    (part / "last.ckpt").write_bytes(checkpoint)
    assert fit(part, 4, ckpt_path=str(part / "last.ckpt")) == expected


def test_rows_of_repeated_epochs_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n0,4.0\n1,3.0\n2,2.0\n10,1.0\n")
    table = MetricsTable(path)
    trainer = cast(
        L.Trainer,
        SimpleNamespace(is_global_zero=True, current_epoch=2, callback_metrics={"loss": torch.tensor(0.5)}),
    )
    table.on_train_start(trainer, Scripted())
    table.on_train_epoch_end(trainer, Scripted())
    assert [(row["epoch"], row["loss"]) for row in _read(path)] == [("0", "4.0"), ("1", "3.0"), ("2", "0.5")]


def test_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    trainer = cast(L.Trainer, SimpleNamespace(is_global_zero=False, current_epoch=0, callback_metrics={}))
    table = MetricsTable(path)
    table.on_train_start(trainer, Scripted())
    table.on_train_epoch_end(trainer, Scripted())
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "epoch,loss\n1,3.0\n", None])
def test_rows_that_are_gone_are_said_to_be(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_text(content)
    trainer = cast(L.Trainer, SimpleNamespace(is_global_zero=True, current_epoch=2))
    with pytest.warns(UserWarning, match=r"metrics\.csv lacks earlier epochs, and goes on without: 1"):
        MetricsTable(path).on_train_start(trainer, Scripted())


def test_a_run_that_begins_with_the_checkpoint_of_another_lacks_no_rows(tmp_path: Path) -> None:
    trainer = cast(L.Trainer, SimpleNamespace(is_global_zero=True, current_epoch=2))
    table = MetricsTable(tmp_path / "metrics.csv", goes_on=False)
    table.on_train_start(trainer, Scripted())
    assert table.rows == []
    later = MetricsTable(tmp_path / "metrics.csv")  # of the same run, continued before its first epoch was over
    later.load_state_dict(table.state_dict())
    later.on_train_start(trainer, Scripted())
    assert later.rows == []
