from pathlib import Path

import pytest
import torch

from noisy_lightning.data import Digits
from noisy_lightning.data.selection import read_selection
from noisy_lightning.errors import InputError

LABELS = torch.zeros(9, dtype=torch.long)


def _write(folder: Path, text: str) -> Path:
    path = folder / "selection.csv"
    path.write_text(text)
    return path


def test_marks_are_read_by_column_name_and_index(tmp_path: Path) -> None:
    text = "candidate,label,index,select\n0,7,4,1\n1,7,0,0\n0,7,1,0\nfalse,7,3,True\n"
    selection = read_selection(_write(tmp_path, text), LABELS[:6])
    assert selection.select.tolist() == [False, False, False, True, True, False]
    assert selection.candidate.tolist() == [True, False, False, False, False, False]
    assert selection.validate is None
    assert selection.noise_rate is None


def test_a_file_from_a_spreadsheet_is_read(tmp_path: Path) -> None:
    text = "\ufeffindex, select,candidate,y_noisy\r\n1.0, 1.0 ,FALSE,0.0\r\n0,0,TRUE,0\r\n"
    selection = read_selection(_write(tmp_path, text), LABELS[:2])
    assert selection.select.tolist() == [False, True]
    assert selection.candidate.tolist() == [True, False]


def test_a_file_without_lines_selects_nothing(tmp_path: Path) -> None:
    selection = read_selection(_write(tmp_path, "index,select,candidate\n"), LABELS[:3])
    assert not selection.select.any()
    assert not selection.candidate.any()


def test_what_a_selector_adds_is_read(tmp_path: Path) -> None:
    text = "index,y_noisy,select,candidate,validate,eval_ratio\n1,2,0,0,1,0.25\n0,0,1,0,0,0.5\n"
    selection = read_selection(_write(tmp_path, text), torch.tensor([0, 2]))
    assert selection.validate is not None
    assert selection.validate.tolist() == [False, True]
    assert selection.noise_rate == 0.25
    unknown = "index,select,candidate,eval_ratio\n0,1,0,\n"
    assert read_selection(_write(tmp_path, unknown), LABELS[:2]).noise_rate is None


def test_a_file_for_other_labels_is_refused_by_its_first_difference(tmp_path: Path) -> None:
    path = _write(tmp_path, "index,y_noisy,select,candidate\n0,0,1,0\n1,2,1,0\n2,1,1,0\n")
    message = "made for other labels: sample 1 is class 2 there and class 1 here, 2 of 3 differ"
    with pytest.raises(InputError, match=message):
        read_selection(path, torch.tensor([0, 1, 2]))
    with pytest.raises(InputError, match="lacks 1 of 4 samples, sample 3 first: it has been cut off"):
        read_selection(path, torch.tensor([0, 2, 1, 7]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column index, select, candidate"),
        ("index,select\n0,1\n", "no column candidate"),
        ("index,select,candidate\n0,1,0\n9,1,0\n", r"line 3: index must be in \[0, 9\)"),
        ("index,select,candidate\n0,1,0\n-1,1,0\n", r"line 3: index must be in \[0, 9\)"),
        ("index,select,candidate\n0.5,1,0\n", "line 2: index must be a whole number, got '0.5'"),
        ("index;select;candidate\n0;1;0\n", "no column index, select, candidate: .* separated by commas"),
        ("index,select,candidate\n,1,0\n", "line 2: index must be a whole number"),
        ("index,select,candidate\n0,1,0\n1,2,0\n7,7,7\n", "line 3: select must be 0 or 1, got '2'"),
        ("index,select,candidate\n0,1\n", "line 2: the line ends before candidate; the file may have been cut off"),
        ("index,select,candidate\n0,1,0\n0,1,0\n", "line 3: index 0 is there twice"),
        ("index,select,candidate\n0,1,1\n", "line 2: sample 0 may have only one of select, candidate"),
        ("index,select,candidate,validate\n0,0,1,1\n", "line 2: sample 0 may have only one of select, candidate, val"),
        ("index,select,candidate,y_noisy\n0,0,1,cat\n", "line 2: y_noisy must be a whole number, got 'cat'"),
        ("index,select,candidate,eval_ratio\n0,0,1,1.5\n", r"line 2: eval_ratio must be in \[0, 1\], got '1.5'"),
        ("index,select,candidate,eval_ratio\n0,0,1,half\n", r"line 2: eval_ratio must be in \[0, 1\], got 'half'"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(InputError, match=message) as error:
        read_selection(path, LABELS)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nothing.csv"
    with pytest.raises(InputError, match=r"cannot read .*nothing\.csv"):
        read_selection(path, LABELS)
    path.write_bytes(b"index,select,candidate\n\xff\xfe,1,0\n")
    with pytest.raises(InputError, match=r"nothing\.csv is damaged: it is no UTF-8 text"):
        read_selection(path, LABELS)


def test_training_after_a_test_reads_the_selection(tmp_path: Path) -> None:
    path = tmp_path / "selection.csv"
    data = Digits(selection=path, val_fraction=0)
    data.setup("test")
    path.write_text("index,select,candidate\n3,1,0\n5,0,1\n")
    data.setup("fit")
    assert data.train_indices.tolist() == [3]
    assert data.candidate_indices is not None
    assert data.candidate_indices.tolist() == [5]


def test_a_file_for_other_labels_names_the_classes(tmp_path: Path) -> None:
    path = _write(tmp_path, "index,select,candidate,y_noisy\n0,1,0,0\n1,1,0,1\n")
    with pytest.raises(InputError, match=r"sample 0 is 'cat' \(class 0\) there and 'dog' \(class 1\) here"):
        read_selection(path, torch.tensor([1, 1]), ["cat", "dog"])


def test_one_line_of_an_oracle_marks_the_whole_selection(tmp_path: Path) -> None:
    text = "index,select,candidate,oracle\n0,1,0,{}\n1,1,0,{}\n2,1,0,{}\n"
    for flags in ("100", "010", "001"):
        assert read_selection(_write(tmp_path, text.format(*flags)), LABELS[:3]).oracle
    assert not read_selection(_write(tmp_path, text.format(*"000")), LABELS[:3]).oracle
