import csv
from pathlib import Path

import numpy as np

from noisy_lightning.cli.class_report import Answers, class_table, write_classes, write_rows


def _answers(labels: list[int], predicted: list[int]) -> Answers:
    return Answers(np.array(labels), np.array(predicted), np.full(len(labels), 0.5, np.float32))


def _rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_files_name_classes(tmp_path: Path) -> None:
    names = ["cat", "=dog", "owl"]
    write_classes(tmp_path / "r", _answers([0, 0, 1, 1], [0, 1, 1, 1]), names, "a title", pictures=False)
    assert {path.name for path in (tmp_path / "r").iterdir()} == {"classes.csv", "confusion.csv", "calibration.csv"}
    header, *rows = _rows(tmp_path / "r/classes.csv")
    assert header == ["class", "n", "predicted", "precision", "recall", "f1"]
    assert rows[0] == ["cat", "2", "1", "1.0", "0.5", "0.6666666666666666"]
    assert rows[1][0] == "'=dog", "no formula for a spreadsheet"
    assert rows[2] == ["owl", "0", "0", "", "", ""]
    assert _rows(tmp_path / "r/confusion.csv") == [
        ["true class", "cat", "'=dog", "owl"],
        ["cat", "1", "1", "0"],
        ["'=dog", "0", "2", "0"],
        ["owl", "0", "0", "0"],
    ]
    bins = _rows(tmp_path / "r/calibration.csv")
    assert len(bins) == 16
    assert [row[2:] for row in bins[1:] if row[2] != "0"] == [["4", "0.5", "0.75"]]


def test_pictures_are_drawn_where_they_are_wanted(tmp_path: Path) -> None:
    write_classes(tmp_path, _answers([0, 1], [0, 0]), ["cat", "dog"], "a title", pictures=True)
    for name in ("confusion.png", "calibration.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_few_classes_are_all_shown_with_a_column_for_each_checkpoint() -> None:
    answers = {"best": _answers([0, 0, 1, 1], [0, 0, 1, 1]), "last": _answers([0, 0, 1, 1], [0, 1, 1, 1])}
    assert str(class_table(answers, ["cat", "dog", "owl"])).splitlines() == [
        "class  n  best: precision  recall     F1  last: precision  recall    F1",
        "cat    2            100.0   100.0  100.0            100.0    50.0  66.7",
        "dog    2            100.0   100.0  100.0             66.7   100.0  80.0",
        "owl    0                –       –      –                –       –     –",
        "most often confused: cat as dog (1 of 2)",
    ]


def test_of_many_classes_the_worst_are_shown() -> None:
    labels = list(range(24)) * 2
    predicted = [0 if label in (3, 7) else label for label in labels[:24]] + labels[24:]
    lines = str(class_table({"": _answers(labels, predicted)}, [f"c{k}" for k in range(30)])).splitlines()
    assert lines[0] == "the 10 of 30 classes of lowest recall, in %:"
    assert lines[1].split() == ["class", "n", "precision", "recall", "F1"]
    assert [line.split()[0] for line in lines[2:12]] == ["c3", "c7", "c0", "c1", "c2", "c4", "c5", "c6", "c8", "c9"]
    assert lines[12:] == ["most often confused: c3 as c0 (1 of 2), c7 as c0 (1 of 2)"]


def test_a_path_that_is_no_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", ["path"], [["\udcff.png"]])
    assert (tmp_path / "a.csv").read_bytes() == b"path\n\xff.png\n"
