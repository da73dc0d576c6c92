"""Labels from files: the published ones where they lie beside the repository, and small ones written here."""

import io
import json
import pickle
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from noisy_lightning.data import (
    CIFAR10,
    MNIST,
    Digits,
    ImageArrays,
    LabelFile,
    LabelNoise,
    NoisyDataModule,
    PairFlip,
    Symmetric,
)
from noisy_lightning.data.labels import realised_matrix
from noisy_lightning.data.manifest import read_manifest, write_manifest
from noisy_lightning.data.sets.cifar100_classes import FINE_TO_COARSE
from noisy_lightning.errors import InputError
from tests.conftest import SHARED_DATA
from tests.processes import ROOT

TRUE = [0, 1, 2, 1, 0]
GIVEN = [0, 2, 2, 1, 1]


def read(path: Path, column: str | None = None, true: list[int] = TRUE, num_classes: int = 3) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    labels: list[int] = (
        LabelFile(path, column).corrupt(torch.tensor(true, dtype=torch.int64), None, num_classes, generator).tolist()
    )
    assert torch.equal(torch.rand(3, generator=generator), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    return labels


def table(folder: Path, text: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


def columns(folder: Path, **values: list[Any]) -> Path:
    lines = [",".join(map(str, row)) for row in zip(*values.values(), strict=True)]
    return table(folder, "\n".join([",".join(values), *lines]) + "\n")


def human(folder: Path, **values: Any) -> Path:
    torch.save(
        {name: np.array(value) if isinstance(value, list) else value for name, value in values.items()},
        folder / "human.pt",
    )
    return folder / "human.pt"


# --- Formats


def test_a_csv_of_sln_is_read_with_its_rate(tmp_path: Path) -> None:
    path = columns(tmp_path, label=TRUE, label_noisy=GIVEN)
    assert read(path) == GIVEN
    assert LabelFile(path).nominal_rate == 0.4
    noise: LabelNoise = LabelFile(path)
    assert noise.transition_matrix(3) is None


def test_of_many_columns_of_a_csv_the_one_that_is_named_is_read(tmp_path: Path) -> None:
    path = columns(tmp_path, picture=[*"abcde"], label=TRUE, first=GIVEN, second=[2] * 5)
    assert read(path, "first") == GIVEN
    assert read(path, "second") == [2] * 5
    assert LabelFile(path, "second").nominal_rate == 0.8
    assert read(path, "label") == TRUE


def test_a_csv_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    text = '\ufeff"label", label_noisy\r\n"0",0\r\n1, 2\r\n\r\n2,2\r\n1,1\r\n0,1\r\n'
    (tmp_path / "sheet.csv").write_bytes(text.encode())
    assert read(tmp_path / "sheet.csv") == GIVEN


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, ">i8"])
def test_numpy_files_are_read_and_know_their_rate_where_they_hold_the_truth(dtype: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array(GIVEN, dtype=dtype))
    assert read(tmp_path / "labels.npy") == GIVEN
    assert LabelFile(tmp_path / "labels.npy").nominal_rate is None
    np.savez(tmp_path / "labels.npz", clean_label=np.array(TRUE), noise_label=np.array(GIVEN, dtype=dtype))
    assert read(tmp_path / "labels.npz") == GIVEN
    assert LabelFile(tmp_path / "labels.npz").nominal_rate == 0.4


def test_human_labels_are_read_by_their_names_and_by_aliases(tmp_path: Path) -> None:
    path = human(tmp_path, clean_label=TRUE, worse_label=GIVEN, random_label1=[0] * 5)
    assert read(path, "worse_label") == read(path, "worst") == GIVEN
    assert read(path, "rand1") == read(path, "random_label1") == [0] * 5
    # Lists and tensors as they are in CIFAR-100N and in files of one's own.
    path = human(
        tmp_path,
        clean_label=torch.tensor(TRUE),
        noisy_label=tuple(GIVEN),
        clean_coarse_label=(0,) * 5,
        noisy_coarse_label=(1,) * 5,
    )
    assert read(path) == read(path, "noisy100") == GIVEN
    assert read(path, "noisy_coarse_label", true=[0] * 5) == [1] * 5
    assert LabelFile(path, "noisy_coarse_label").nominal_rate == 1


@pytest.mark.parametrize(
    "content",
    [
        GIVEN,
        tuple(GIVEN),
        np.array(GIVEN, np.uint8),
        torch.tensor(GIVEN),
        torch.tensor(GIVEN, dtype=torch.int32).unsqueeze(1),
        [torch.tensor(label) for label in GIVEN],
    ],
)
def test_a_pickle_may_hold_labels_without_a_name(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "labels.pt")
    assert read(tmp_path / "labels.pt") == GIVEN
    assert LabelFile(tmp_path / "labels.pt").nominal_rate is None
    with pytest.raises(InputError, match=r"^column must be left out for .*labels\.pt, whose only column has no name"):
        LabelFile(tmp_path / "labels.pt", "worst")


@pytest.mark.parametrize(
    "content", [torch.tensor([0.0, 1.0]), torch.zeros(2, 3, dtype=torch.int64), [[0], [0, 1]], ["cat"], [None]]
)
def test_a_pickle_of_other_numbers_without_a_name_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "labels.pt")
    with pytest.raises(
        InputError, match=r"^path: .*labels\.pt must hold (whole numbers|one label per sample)"
    ) as caught:
        LabelFile(tmp_path / "labels.pt")
    assert "\n" not in str(caught.value)


def test_a_list_of_dividemix_is_read(tmp_path: Path) -> None:
    path = table(tmp_path, str(GIVEN), "0.5_sym.json")
    assert read(path) == GIVEN
    assert LabelFile(path).nominal_rate is None
    path = table(tmp_path, f'{{"clean_label": {TRUE}, "noisy_label": {GIVEN}, "rate": 0.4}}', "named.json")
    assert read(path) == GIVEN
    assert LabelFile(path).nominal_rate == 0.4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[0, 1.5]", r"must hold whole numbers of shape \(N,\), got \(2,\) float64$"),
        ("[0, null]", r"must hold whole numbers of shape \(N,\), got \(2,\) object$"),
        ("[[0, 1], [1, 0]]", r"must hold whole numbers of shape \(N,\), got \(2, 2\) int64$"),
        ("[true, false]", r"must hold whole numbers of shape \(N,\), got \(2,\) bool$"),
        ('["cat", "dog"]', r"must hold whole numbers, got 'cat' for sample 0$"),
        ("3", r"must hold a list of labels, or a dictionary of such lists by their names, got int$"),
        ("{}", r"got a dictionary with the keys \[\]$"),
        ('{"a": [0], "b": [1]}', r"column must say which labels of .* to take: it has a, b$"),
    ],
)
def test_other_json_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        LabelFile(table(tmp_path, text, "labels.json"))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_list_with_a_label_of_no_class_or_of_another_length_is_refused(label: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"must hold labels in \[0, 2\], got {label} for sample 4"):
        read(table(tmp_path, str([*GIVEN[:4], label]), "labels.json"))
    with pytest.raises(InputError, match=r"^path: .*labels\.json has 4 rows, the training set 5 samples: .*this one$"):
        read(table(tmp_path, str(GIVEN[:4]), "labels.json"))


def test_labels_of_ptd_are_read_where_all_of_them_are_there(tmp_path: Path) -> None:
    path = human(tmp_path, clean_label_train=torch.tensor(TRUE), noise_label_train=torch.tensor(GIVEN))
    assert read(path) == GIVEN
    assert LabelFile(path).nominal_rate == 0.4
    with pytest.raises(InputError, match="sample 0 is of class 0 there and 1 here"):
        read(path, true=[1, 0, 2, 1, 0])


def test_nine_tenths_of_ptd_are_refused_with_what_was_found(tmp_path: Path) -> None:
    parts = {"clean_label_train": TRUE[:4], "noise_label_train": GIVEN[:4], "noise_label_val": GIVEN[4:]}
    message = (
        r"has 4 rows, the training set 5 samples: .*; it holds clean_label_train \(4\), noise_label_train \(4\), "
        r"noise_label_val \(1\)$"
    )
    with pytest.raises(InputError, match=message):
        read(human(tmp_path, **parts))


def test_a_number_a_line_is_read(tmp_path: Path) -> None:
    assert read(table(tmp_path, "# labels\n" + "\n".join(map(str, GIVEN)) + "\n", "labels.txt")) == GIVEN
    with pytest.raises(InputError, match=r"must hold whole numbers, got 'cat' for sample 1"):
        LabelFile(table(tmp_path, "0\ncat\n", "labels.txt"))


def test_a_name_in_the_file_comes_before_an_alias(tmp_path: Path) -> None:
    assert read(human(tmp_path, worst=GIVEN, worse_label=TRUE), "worst") == GIVEN


@pytest.mark.parametrize(
    "values",
    [
        {"anything": GIVEN},
        {"label": GIVEN},
        {"label": TRUE, "label_noisy": GIVEN, "other": TRUE},
        {"true_label": TRUE, "given_label": GIVEN},
        {"index": range(5), "mine": GIVEN},
        {"clean_label": TRUE, "mine": GIVEN},
    ],
)
def test_the_column_may_be_obvious(values: dict[str, Any], tmp_path: Path) -> None:
    assert read(columns(tmp_path, **values)) == GIVEN


def test_unknown_true_labels_are_not_compared(tmp_path: Path) -> None:
    path = columns(tmp_path, label=[0, "", 2, "", 0], label_noisy=GIVEN)
    assert read(path) == GIVEN
    assert LabelFile(path).nominal_rate == pytest.approx(1 / 3)
    assert LabelFile(columns(tmp_path, label=[""] * 5, label_noisy=GIVEN)).nominal_rate is None


# --- Labels of a run


def test_the_labels_of_a_run_come_back_bit_for_bit(tmp_path: Path) -> None:
    first = Digits(noise=Symmetric(0.4), seed=5)
    first.setup()
    write_manifest(tmp_path, first.noise_summary(), first.label_table())
    again = Digits(noise=LabelFile(tmp_path / "noise.csv"), seed=5)
    again.setup()
    assert again.noise_hash == first.noise_hash
    assert torch.equal(again.val_indices, first.val_indices)
    again.load_state_dict(first.state_dict())
    (tmp_path / "second").mkdir()
    write_manifest(tmp_path / "second", again.noise_summary(), again.label_table())
    assert (tmp_path / "second" / "noise.csv").read_bytes() == (tmp_path / "noise.csv").read_bytes()
    assert again.noise_summary().nominal_rate == first.noise_summary().realised_rate
    assert again.noise_summary().nominal_matrix is None


def test_the_manifest_of_unknown_noise_has_no_nominal_rate_and_is_read_back(tmp_path: Path) -> None:
    truth = Digits()
    truth.setup()
    np.save(tmp_path / "given.npy", truth.true_labels.flip(0).numpy())
    data = Digits(noise=LabelFile(tmp_path / "given.npy"))
    data.setup()
    summary = data.noise_summary()
    assert (summary.nominal_rate, summary.expected_rate) == (None, None)
    assert summary.realised_rate is not None
    assert summary.arguments == {"path": str(tmp_path / "given.npy"), "column": None, "source": None}
    write_manifest(tmp_path, summary, data.label_table())
    assert read_manifest(tmp_path)[0] == summary


# --- Files of other data


@pytest.mark.parametrize(
    ("true", "message"),
    [
        ([1, 0, 2, 1, 0], r"sample 0 is of class 0 there and 1 here, 2 of 5 differ; .*as frequent.*in another order$"),
        ([0, 1, 2, 2, 0], r"sample 3 is of class 1 there and 2 here, 1 of 5 differ; .*another split or data set$"),
    ],
)
def test_true_labels_of_another_set_are_refused(true: list[int], message: str, tmp_path: Path) -> None:
    path = columns(tmp_path, label=TRUE, label_noisy=GIVEN)
    with pytest.raises(InputError, match=rf"^path: the true labels in .*labels\.csv are not the data set's: {message}"):
        read(path, true=true)


@pytest.mark.parametrize(("there", "name"), [(2, "green"), (3, "number 3")])
def test_classes_of_another_set_are_named(there: int, name: str, tmp_path: Path) -> None:
    labels = np.array([0, 1, 2] * 4)
    path = columns(tmp_path, label=[there, *labels[1:]], label_noisy=[0, *labels[1:]])
    images = np.zeros((12, 8, 8), np.uint8)
    data = ImageArrays(images, labels, class_names=["red", "blue", "green"], clean=True, noise=LabelFile(path))
    with pytest.raises(InputError, match=rf"sample 0 is of class {name} there and red here, 1 of 12 differ; "):
        data.setup()


@pytest.mark.parametrize("name", ["with.csv", "without.npy"])
def test_a_file_of_another_length_is_refused(name: str, tmp_path: Path) -> None:
    path = columns(tmp_path, label=TRUE, label_noisy=GIVEN)
    if name == "without.npy":
        path = tmp_path / name
        np.save(path, np.array(GIVEN))
    with pytest.raises(InputError, match=r"^path: .* has 5 rows, the training set 4 samples: .* or a part of this one"):
        read(path, true=TRUE[:4])


@pytest.mark.parametrize(("label", "position"), [(3, 2), (-1, 0)])
def test_labels_that_are_no_class_are_refused(label: int, position: int, tmp_path: Path) -> None:
    given = list(GIVEN)
    given[position] = label
    message = rf"^path: .* must hold labels in \[0, 2\], got {label} for sample {position}$"
    with pytest.raises(InputError, match=message):
        read(columns(tmp_path, label=TRUE, label_noisy=given))


# --- Bad files


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("given", r"^column: .* has no 'given', only label, first, second$"),
        ("frist", r"^column: .* has no 'frist', only label, first, second; did you mean first\?$"),
        ("worst", r"^column: .* has no 'worst', only label, first, second"),
        (None, r"^column must say which labels of .*labels\.csv to take: it has label, first, second$"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    column: str | None, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        LabelFile(columns(tmp_path, label=TRUE, first=GIVEN, second=GIVEN), column)


def test_an_array_without_a_name_takes_no_column(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array(GIVEN))
    with pytest.raises(InputError, match=r"^column must be left out for .*labels\.npy, .*got 'worst'$"):
        LabelFile(tmp_path / "labels.npy", "worst")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty$"),
        ("3,4\n1,2\n", r"must name its columns in the first line, got '3,4'$"),
        ("label,,label_noisy\n", r"must name its columns in the first line, got 'label,,label_noisy'$"),
        ("label,label\n1,2\n", r"has two columns of the same name: label,label$"),
        ("label,label_noisy\n0,0\n1\n", r"line 3, has 1 cells, its first line 2$"),
        ("label,label_noisy\n0,0,0\n", r"line 2, has 3 cells, its first line 2$"),
        ("label,label_noisy\n0,0\n1,nan\n", r"column 'label_noisy', must hold whole numbers, got 'nan' for sample 1$"),
        ("label,label_noisy\n0,1.0\n", r"column 'label_noisy', must hold whole numbers, got '1.0' for sample 0$"),
        ("label,label_noisy\n0,\n", r"column 'label_noisy', must hold whole numbers, got '' for sample 0$"),
        ("label,label_noisy\ncat,0\n", r"column 'label', must hold whole numbers, got 'cat' for sample 0$"),
        (
            "label,label_noisy\n0,99999999999999999999\n",
            r"column 'label_noisy', must hold .* got '9{20}' for sample 0$",
        ),
        ("index,label_noisy\n0,0\n2,1\n", r"must have its rows in the order of their index, .* got 2 where 1 belongs$"),
        ('label,label_noisy\n0,"0\n', r"is damaged: unexpected end of data$"),
    ],
)
def test_torn_and_foreign_tables_are_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^path: .*labels\.csv,? {message}") as caught:
        LabelFile(table(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_table_without_rows_has_no_labels(tmp_path: Path) -> None:
    assert read(table(tmp_path, "label,label_noisy\n"), true=[]) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, r"^path: cannot read .*absent\.csv: No such file or directory$"),
        ("absent.npy", None, r"^path: cannot read .*absent\.npy: No such file or directory$"),
        ("absent.npz", None, r"^path: cannot read .*absent\.npz: No such file or directory$"),
        ("absent.pt", None, r"^path: cannot read .*absent\.pt: No such file or directory$"),
        ("labels.mat", b"0", r"^path must be a \.csv, \.json, \.npy, \.npz, \.pt, \.txt file, got .*labels\.mat$"),
        ("absent.json", None, r"^path: cannot read .*absent\.json: No such file or directory$"),
        ("absent.txt", None, r"^path: cannot read .*absent\.txt: No such file or directory$"),
        ("empty.json", b"", r"^path: .*empty\.json is no whole JSON file: Expecting value"),
        ("torn.json", b"[0, 1, 2", r"^path: .*torn\.json is no whole JSON file: "),
        ("deep.json", 5000 * b"[", r"^path: .*deep\.json is (damaged: it is nested too deeply|no whole JSON file)"),
        ("latin.json", b"[0, \xff]", r"^path: .*latin\.json is damaged: it is no UTF-8 text, byte 4"),
        ("empty.txt", b"\n# nothing\n", r"^path: .*empty\.txt lists no label$"),
        ("latin.txt", b"\xff 0\n", r"^path: .*latin\.txt is damaged: it is no UTF-8 text, byte 0"),
        ("latin.csv", b"label,label_noisy\n\xff,0\n", r"^path: .*latin\.csv is damaged: it is no UTF-8 text, byte 18"),
        ("torn.npy", b"\x93NUMPY\x01", r"^path: .*torn\.npy is no whole numpy file: "),
        ("torn.npz", b"PK\x03\x04", r"^path: .*torn\.npz is no whole numpy file: "),
        ("torn.pt", b"PK\x03\x04", r"^path: .*torn\.pt is "),
        ("text.pt", b"label,label_noisy\n", r"^path: .*text\.pt is "),
        ("empty.pt", b"", r"^path: .*empty\.pt is "),
        ("empty.npy", b"", r"^path: .*empty\.npy is no whole numpy file: "),
    ],
)
def test_files_that_cannot_be_read_are_named_in_one_line(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        LabelFile(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_folder_is_refused_as_a_file(tmp_path: Path) -> None:
    for suffix in (".csv", ".json", ".npy", ".npz", ".pt", ".txt"):
        (tmp_path / f"folder{suffix}").mkdir()
        with pytest.raises(InputError, match=r"^path: cannot read .*: Is a directory$"):
            LabelFile(tmp_path / f"folder{suffix}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([0.0, 1.0]), r"must hold whole numbers of shape \(N,\), got \(2,\) float64$"),
        (np.array([0.0, np.nan]), r"must hold whole numbers of shape \(N,\), got \(2,\) float64$"),
        (np.array([True, False]), r"must hold whole numbers of shape \(N,\), got \(2,\) bool$"),
        (np.array([[0, 1]]), r"must hold whole numbers of shape \(N,\), got \(1, 2\) int64$"),
        (np.array(["0", "1"]), r"must hold whole numbers of shape \(N,\), got \(2,\) <U1$"),
        (np.array([2**64 - 1], dtype=np.uint64), r"holds 18446744073709551615, which is no label$"),
        (np.array([{"label": 0}], dtype=object), r"holds a pickle, which could run anything and is not opened: "),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_are_no_labels_are_refused(values: np.ndarray, message: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"labels{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    else:
        np.savez(path, given_label=values)
    with pytest.raises(InputError, match=rf"^path: .*labels{suffix}(, column 'given_label',)? {message}"):
        LabelFile(path)


def test_columns_of_several_lengths_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "labels.npz", true_label=np.array(TRUE[:4]), given_label=np.array(GIVEN))
    with pytest.raises(InputError, match=r"^path: .* has 5 'given_label' but 4 'true_label'$"):
        LabelFile(tmp_path / "labels.npz")


# --- Pickles


class Malicious:
    """Runs code where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    content = {"clean_label": np.array(TRUE), "worse_label": Malicious(tmp_path / "trace")}
    torch.save(content, tmp_path / "zip.pt")
    torch.save(content, tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(content))
    np.save(tmp_path / "plain.npy", np.array(content, dtype=object))
    np.savez(tmp_path / "plain.npz", given_label=np.array(content, dtype=object))
    for name in ("zip.pt", "legacy.pt", "plain.pt", "plain.npy", "plain.npz"):
        with pytest.raises(InputError, match=rf"^path: .*{name}") as caught:
            LabelFile(tmp_path / name, None if name.endswith("npy") else "worse_label")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "trace").exists()
    with pytest.raises(InputError, match=r"zip\.pt is not opened, because it is more than arrays of numbers: .*GLOBAL"):
        LabelFile(tmp_path / "zip.pt")
    torch.load(tmp_path / "zip.pt", weights_only=False)
    assert (tmp_path / "trace").exists()  # so the file is one that would have


def test_nothing_stays_allowed(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    read(human(tmp_path, clean_label=TRUE, worse_label=GIVEN), "worst")
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_pickle_of_an_older_numpy_is_read(tmp_path: Path) -> None:
    """The published files call numpy's parts by the places that they had before numpy 2."""
    path = human(tmp_path, clean_label=TRUE, worse_label=GIVEN)
    renamed = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(renamed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert path.read_bytes() != renamed.getvalue()
    path.write_bytes(renamed.getvalue())
    assert b"cnumpy.core.multiarray\n_reconstruct" in renamed.getvalue()
    assert read(path, "worst") == GIVEN


@pytest.mark.parametrize(
    ("content", "got"),
    [({0: np.array(GIVEN)}, r"a dictionary with the keys \[0\]"), ({}, r"a dictionary with the keys \[\]"), (3, "int")],
)
def test_a_pickle_of_something_else_than_labels_is_refused(content: Any, got: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "labels.pt")
    with pytest.raises(InputError, match=rf"^path: .*labels\.pt must hold a list of labels, or .*, got {got}$"):
        LabelFile(tmp_path / "labels.pt")


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i8"])
def test_a_pickle_of_whole_numbers_of_any_size_is_read(dtype: Any, tmp_path: Path) -> None:
    path = human(tmp_path, clean_label=np.array(TRUE, dtype=dtype), worse_label=np.array(GIVEN, dtype=dtype))
    assert read(path, "worst") == GIVEN


@pytest.mark.parametrize("values", [[0.0, np.nan], np.array([1, 2], dtype=np.float16), [True, False]])
def test_a_pickle_of_numbers_that_are_no_labels_is_refused(values: Any, tmp_path: Path) -> None:
    path = human(tmp_path, worse_label=np.asarray(values))
    with pytest.raises(InputError, match=r"column 'worse_label', must hold whole numbers of shape \(N,\), got \(2,\)"):
        LabelFile(path)


def test_a_pickle_of_objects_in_an_array_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"human\.pt is not opened, .* it is damaged or holds objects$"):
        LabelFile(human(tmp_path, worse_label=np.array(GIVEN, dtype=object)))


@pytest.mark.parametrize("value", [[0.5, 1.0], 3, {"a": 1}, torch.zeros(2, 2), ([0], [0, 1]), "cat"])
def test_a_pickle_of_columns_that_are_no_labels_is_refused_in_one_line(value: Any, tmp_path: Path) -> None:
    torch.save({"worse_label": value}, tmp_path / "labels.pt")
    with pytest.raises(InputError, match=r"^path: .*labels\.pt, column 'worse_label', must hold ") as caught:
        LabelFile(tmp_path / "labels.pt")
    assert "\n" not in str(caught.value)


# --- Published files

PUBLISHED = [
    ("CIFAR-10_human.pt", "aggre", 0.0901),
    ("CIFAR-10_human.pt", "rand1", 0.17234),
    ("CIFAR-10_human.pt", "rand2", 0.18122),
    ("CIFAR-10_human.pt", "rand3", 0.1764),
    ("CIFAR-10_human.pt", "worst", 0.40208),
    ("CIFAR-10_human.pt", "worse_label", 0.40208),
    ("CIFAR10_sym0.4.csv", None, 0.40026),
    ("CIFAR10_asym0.4.csv", None, 0.20318),
    *((f"CIFAR10_dependent{rate}.csv", None, rate) for rate in (0.1, 0.2, 0.3, 0.4)),
    ("CIFAR-100_human.pt", None, 0.402),
    ("CIFAR-100_human.pt", "noisy_coarse_label", 0.26404),
    ("CIFAR100_sym0.4.csv", None, 0.3988),
    ("CIFAR100_asym0.4.csv", None, 0.40012),
    ("CIFAR100_dependent0.4.csv", None, 0.4),
    *((f"MNIST_dependent{rate}.csv", None, rate) for rate in (0.1, 0.2, 0.3, 0.4)),
]


@pytest.fixture(scope="module")
def published() -> Path:
    folder = SHARED_DATA / "labels"
    if not folder.is_dir():
        pytest.skip("there is no ../shared/data with the published labels")
    return folder


@pytest.mark.parametrize(("name", "column", "rate"), PUBLISHED)
def test_published_labels_have_their_rates(name: str, column: str | None, rate: float, published: Path) -> None:
    assert LabelFile(published / name, column).nominal_rate == pytest.approx(rate, abs=5e-6)


def test_published_labels_are_the_same_in_the_formats_of_others(published: Path, tmp_path: Path) -> None:
    human_labels = LabelFile(published / "CIFAR-10_human.pt", "worst")._labels
    assert human_labels is not None
    given, true = human_labels.given, human_labels.true
    assert true is not None
    torch.save(given, tmp_path / "bare.pt")
    torch.save({"clean_label_train": true, "noise_label_train": given}, tmp_path / "IDN_0.4_C10.pt")
    (tmp_path / "list.json").write_text(json.dumps(given.tolist()))
    (tmp_path / "list.txt").write_text("\n".join(map(str, given.tolist())))
    for name in ("bare.pt", "IDN_0.4_C10.pt", "list.json", "list.txt"):
        assert read(tmp_path / name, true=true.tolist(), num_classes=10) == given.tolist()


def test_every_published_file_is_measured(published: Path) -> None:
    assert {path.name for path in published.iterdir()} == {name for name, _, _ in PUBLISHED}


def test_published_matrices_are_as_known(published: Path) -> None:
    def matrix(name: str, num_classes: int) -> Tensor:
        return realised_matrix(*columns_of(published / name), num_classes)

    dependent = matrix("CIFAR10_dependent0.4.csv", 10).diagonal()
    assert (int(dependent.argmin()), int(dependent.argmax())) == (3, 1)  # cat, automobile
    assert (dependent.min().item(), dependent.max().item()) == pytest.approx((0.34, 0.76), abs=5e-3)
    dependent = matrix("CIFAR100_dependent0.4.csv", 100).diagonal()
    assert (dependent.min().item(), dependent.max().item()) == pytest.approx((0.076, 0.908), abs=5e-4)
    # The "asymmetric" labels of CIFAR-100 are a pair flip: each class has one wrong label, the next.
    pairs = matrix("CIFAR100_asym0.4.csv", 100)
    assert torch.equal(pairs > 0, PairFlip(0.4).transition_matrix(100) > 0)
    assert bool(((pairs.diagonal() - 0.6).abs() < 5 * (0.24 / 500) ** 0.5).all())


def test_published_noise_of_lower_rates_is_part_of_that_of_higher_ones(published: Path) -> None:
    for dataset in ("CIFAR10", "MNIST"):
        drawn = [given_of(published / f"{dataset}_dependent{rate}.csv") for rate in (0.1, 0.2, 0.3, 0.4)]
        for (given, wrong), (more, more_wrong) in pairwise(drawn):
            assert bool(more_wrong[wrong].all())
            assert torch.equal(given[wrong], more[wrong])


def columns_of(path: Path) -> tuple[Tensor, Tensor]:
    """Return the columns of a file of SLN or IDN, read without the package."""
    true, given = torch.from_numpy(np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64).T).contiguous()
    return true, given


def given_of(path: Path) -> tuple[Tensor, Tensor]:
    true, given = columns_of(path)
    labels = LabelFile(path).corrupt(true, None, 10, torch.Generator())
    assert torch.equal(labels, given)
    return labels, given != true


def test_human_labels_of_cifar100_on_cifar10_are_refused(published: Path) -> None:
    true, _ = columns_of(published / "CIFAR10_sym0.4.csv")
    with pytest.raises(InputError, match=r"sample 0 is of class 19 there and 6 here.*another split or data set"):
        LabelFile(published / "CIFAR-100_human.pt").corrupt(true, None, 10, torch.Generator())


def test_fine_labels_of_cifar100_belong_to_its_coarse_ones(published: Path) -> None:
    fine, _ = columns_of(published / "CIFAR100_sym0.4.csv")
    path = published / "CIFAR-100_human.pt"
    LabelFile(path).corrupt(fine, None, 100, torch.Generator())
    LabelFile(path, "noisy_coarse_label").corrupt(torch.tensor(FINE_TO_COARSE)[fine], None, 20, torch.Generator())


@pytest.fixture(scope="module")
def root() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("there is no ../shared/data with the real data sets")
    folder = ROOT / ".cache" / "data"
    subprocess.run([sys.executable, SHARED_DATA / "unpack.py", "--root", folder], check=True)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CIFAR10, MNIST])
def test_published_labels_belong_to_the_real_data(
    kind: type[NoisyDataModule], root: Path, published: Path, tmp_path: Path
) -> None:
    names = {CIFAR10: ("CIFAR-10_human.pt", "CIFAR10_"), MNIST: ("MNIST_",)}[kind]
    used = [(name, column, rate) for name, column, rate in PUBLISHED if name.startswith(names)]
    assert len(used) >= 4
    for name, column, rate in used:
        data = kind(root, noise=LabelFile(published / name, column), download=False)
        data.prepare_data()
        data.setup()
        assert data.noise_summary().realised_rate == pytest.approx(rate, abs=5e-6)
        write_manifest(tmp_path, data.noise_summary(), data.label_table())
        again = kind(root, noise=LabelFile(tmp_path / "noise.csv"), download=False)
        again.setup()
        assert again.noise_hash == data.noise_hash


@pytest.mark.slow
def test_labels_of_the_wrong_data_set_are_refused(root: Path, published: Path) -> None:
    for kind, name in ((CIFAR10, "CIFAR100_sym0.4.csv"), (MNIST, "CIFAR10_sym0.4.csv")):
        with pytest.raises(InputError, match=r"^path: .*another (split|data set)"):
            kind(root, noise=LabelFile(published / name), download=False).setup()
