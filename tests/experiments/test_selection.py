import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisy_lightning.data.selection import read_selection
from noisy_lightning.experiments.selection import Outcome, write_selection
from noisy_lightning.selectors import Judgment

# Right, wrong, right, of none of the classes, unknown, and one that was not judged.
LABELS = np.array([0, 0, 1, 1, 0, 1])
TRUE = np.array([0, 1, 1, -2, -1, 1])
SCORE = np.array([0.1, 0.9, 0.2, 0.05, 0.95, np.nan], np.float32)


def outcome(score: Any = SCORE, true: Any = TRUE) -> Outcome:
    judgment = Judgment(
        select=np.array([True, False, True, True, False, False]),
        score=score,
        suggested=np.array([-1, 1, -1, -1, 1, -1]),
        candidate=np.array([False, False, False, False, True, False]),
        noise_rate=0.25,
    )
    return Outcome(judgment, LABELS, true, 2)


def test_a_score_is_measured_where_truth_and_score_are_known() -> None:
    measures = outcome().measures()
    assert (measures["samples"], measures["selected"], measures["candidates"]) == (6, 3, 1)
    assert measures["label_precision"] == pytest.approx(2 / 3)
    assert measures["label_recall"] == pytest.approx(2 / 3)
    # In the order of the scores wrong, right, right, wrong: an image of none of the classes is always labeled wrongly.
    assert measures["auroc"] == pytest.approx(0.5)
    assert measures["average_precision"] == pytest.approx((1 / 1 + 2 / 4) / 2)
    assert measures["wrong_among_top"] == {"suspects": 4, "wrong": 2}
    assert measures["found"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert measures["suggestions_right"] == 1.0
    assert outcome(true=LABELS).measures()["found"] is None
    assert outcome(true=1 - LABELS).measures()["suggestions_right"] == pytest.approx(2 / 5)


def test_the_most_suspicious_come_first_and_what_was_not_judged_never() -> None:
    assert outcome().top(2).tolist() == [4, 1]
    assert outcome().top(100).tolist() == [4, 1, 2, 0, 3]


def test_without_truth_nothing_is_measured_against_it() -> None:
    measures = outcome(true=np.full(6, -1)).measures()
    assert measures["estimated_noise_rate"] == 0.25
    assert not {"label_precision", "auroc", "average_precision", "wrong_among_top"} & measures.keys()


@pytest.mark.parametrize("oracle", [False, True])
def test_the_file_says_all_of_each_sample(oracle: bool, tmp_path: Path) -> None:
    write_selection(tmp_path / "selection.csv", outcome(), None, oracle)
    with (tmp_path / "selection.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == list("012345")
    assert [row["y"] for row in rows] == ["0", "1", "1", "-2", "", "1"]
    assert [row["y_noisy"] for row in rows] == list("001101")
    assert [row["select"] for row in rows] == list("101100")
    assert [row["candidate"] for row in rows] == list("000010")
    assert [row["score"] for row in rows] == ["0.1", "0.9", "0.2", "0.05", "0.95", ""]
    assert [row["suggested_label"] for row in rows] == ["", "1", "", "", "1", ""]
    assert {row["eval_ratio"] for row in rows} == {"0.25"}
    assert {row["oracle"] for row in rows} == {str(int(oracle))}


def test_names_of_files_are_no_formulas(tmp_path: Path) -> None:
    names = ["=a.png", "+a.png", "-a.png", "@a.png", "'=a.png", "a=.png"]
    write_selection(tmp_path / "selection.csv", outcome(), names)
    with (tmp_path / "selection.csv").open(newline="") as file:
        written = [row["path"] for row in csv.DictReader(file)]
    assert written == ["'=a.png", "'+a.png", "'-a.png", "'@a.png", "''=a.png", "a=.png"]
    assert read_selection(tmp_path / "selection.csv", torch.from_numpy(LABELS)).select.tolist() == [1, 0, 1, 1, 0, 0]
