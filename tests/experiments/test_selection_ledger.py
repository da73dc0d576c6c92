from collections.abc import Callable
from pathlib import Path

import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.selection_ledger import (
    COLUMNS,
    compared_selectors,
    read_selections,
    selection_row,
    write_selections,
)
from noisy_lightning.runs.folder import RunFolder
from tests.conftest import SMALL

Run = Callable[..., int]


def test_a_selection_has_a_row_that_comes_back_from_its_file(run: Run, tmp_path: Path) -> None:
    noise = ("--data.noise", "Symmetric", "--data.noise.rate", "0.3")
    clean = ("--selector", "NearestNeighbours", "--selector.k", "7", "--audit", "false")
    assert run("clean", *SMALL, *noise, *clean, "--run.experiment", "s") == 0
    row = selection_row(RunFolder(Path("runs/s/0")))
    assert (row["selector"], row["arguments"], row["dataset"]) == ("NearestNeighbours", "k=7", "Digits")
    assert row["labels"].startswith("Symmetric rate=0.3")
    assert row["average_precision"] > 0.9
    assert row["found_f1"] > 0.9
    assert row["suggestions_right"] > 0.9
    assert run("report", "runs/s") == 0
    (read,) = read_selections(tmp_path / "runs/s/report/selections.csv")
    for name in COLUMNS:
        if isinstance(row[name], float):
            assert read[name] == pytest.approx(row[name], rel=1e-5)
        else:
            assert str(read[name]) == str(row[name]) or read[name] == row[name]
    table = compared_selectors([read, {**read, "average_precision": 0.5, "labels": "other", "noise_rate": 0.25}])
    assert (
        table.splitlines()[0]
        == f"| selector | network | other, 25.0 % | {row['labels']}, {100 * row['noise_rate']:.1f} % | seconds | n |"
    )
    assert f" | {row['average_precision']:.3f} / {row['auroc']:.3f} / {row['found_f1']:.3f} | " in table
    assert "| 0.500 / " in table


def test_labels_of_a_file_go_by_its_name_and_column(run: Run, tmp_path: Path) -> None:
    (tmp_path / "of_people.csv").write_text("worst\n" + "\n".join(str(i % 10) for i in range(1437)) + "\n")
    noise = ("--data.noise", "LabelFile", "--data.noise.path", "of_people.csv", "--data.noise.column", "worst")
    clean = ("--selector", "Prototypes", "--audit", "false", "--run.experiment", "s")
    assert run("clean", *SMALL, *noise, *clean) == 0
    assert selection_row(RunFolder(Path("runs/s/0")))["labels"] == "of_people worst"


def test_means_are_over_seeds_seconds_the_quickest_and_what_is_missing_is_a_dash() -> None:
    row = dict.fromkeys(COLUMNS) | {"selector": "A", "arguments": "", "network": "n", "labels": "x", "noise_rate": 0.1}
    measures = {"average_precision": 0.5, "auroc": 0.75, "found_f1": None, "seconds": 10.0}
    table = compared_selectors([row | measures, row | measures | {"average_precision": 0.7, "seconds": 20.0}])
    assert table.splitlines()[2] == "| A | n | 0.600 / 0.750 / – | 10 | 2 |"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run,selector\na,b\n", "line 2: lacks"),
        (f"{','.join(COLUMNS)}\n{','.join('x' * len(COLUMNS))}\n", "must be a number"),
    ],
)
def test_another_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_selections(tmp_path / "s.csv")


def test_a_run_of_fit_is_no_selection(run: Run) -> None:
    assert run("fit", *SMALL, "--trainer.limit_train_batches", "1") == 0
    with pytest.raises(InputError, match="is no finished selection"):
        selection_row(RunFolder(Path("runs/default/0")))


def test_rows_are_written_in_one_order(tmp_path: Path) -> None:
    row = dict.fromkeys(COLUMNS) | {"run": "=runs/x", "seconds": 1.25}
    write_selections(tmp_path / "s.csv", [row])
    header, line = (tmp_path / "s.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert line.startswith("'=runs/x,")
    assert read_selections(tmp_path / "s.csv")[0]["run"] == "=runs/x"
