import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from noisy_lightning.data.labels import (
    LabelTable,
    NoiseSummary,
    expected_rate,
    format_matrix,
    label_hash,
    noise_arguments,
    realised_matrix,
    realised_rate,
    summarize,
)
from noisy_lightning.data.manifest import read_manifest, write_manifest
from noisy_lightning.data.noise.class_conditional import (
    Asymmetric,
    LabelNoise,
    NoNoise,
    PairFlip,
    Symmetric,
    TransitionMatrix,
)
from noisy_lightning.errors import InputError

TRUE = torch.tensor([0, 0, 0, 0, 1, 1, -1, 1])
GIVEN = torch.tensor([0, 0, 1, 2, 1, 0, 2, 1])


def table(true_labels: Tensor = TRUE, given_labels: Tensor = GIVEN) -> LabelTable:
    return LabelTable(true_labels, given_labels, torch.tensor([0, 2, 3, 6]), torch.tensor([1, 5]))


def summary(labels: LabelTable, noise: LabelNoise | None = None, num_classes: int = 3) -> NoiseSummary:
    noise = noise or Symmetric(0.4)
    return summarize(noise, labels, seed=7, num_classes=num_classes, dataset="Digits", dataset_checksum="0a" * 32)


def written(folder: Path) -> Path:
    write_manifest(folder, summary(table()), table())
    return folder


# --- Hash


def test_hash_is_that_of_little_endian_int64() -> None:
    expected = hashlib.sha256(struct.pack("<8q", *GIVEN.tolist())).hexdigest()
    assert label_hash(GIVEN) == expected
    assert label_hash(torch.stack([GIVEN, TRUE], 1)[:, 0]) == expected


def test_hash_differs_where_one_label_does() -> None:
    hashes = {label_hash(GIVEN)}
    for index in range(len(GIVEN)):
        other = GIVEN.clone()
        other[index] += 1
        hashes.add(label_hash(other))
    assert len(hashes) == len(GIVEN) + 1
    assert label_hash(GIVEN[:-1]) not in hashes


# --- Rates and matrices


def test_unknown_truth_is_left_out() -> None:
    assert realised_rate(TRUE, GIVEN) == pytest.approx(3 / 7)
    assert realised_matrix(TRUE, GIVEN, 3).tolist() == [[0.5, 0.25, 0.25], [1 / 3, 2 / 3, 0], [0, 0, 0]]


def test_any_label_of_an_image_of_no_class_is_wrong() -> None:
    true, given = torch.tensor([0, -2, -1, 1, 1]), torch.tensor([0, 0, 0, 1, 0])
    assert realised_rate(true, given) == 2 / 4
    assert realised_matrix(true, given, 2).tolist() == [[1, 0], [0.5, 0.5]]


@pytest.mark.parametrize("true_labels", [torch.full((8,), -1), torch.empty(0, dtype=torch.int64)])
def test_without_known_truth_there_is_no_rate(true_labels: Tensor) -> None:
    given = GIVEN[: len(true_labels)]
    assert realised_rate(true_labels, given) is None
    assert expected_rate(Symmetric(0.4), true_labels, 3) is None
    assert realised_matrix(true_labels, given, 3).tolist() == [[0.0] * 3] * 3


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (NoNoise(), 0.0),
        (Symmetric(0.5), 0.5),
        (Symmetric(0.5, include_true=True), 0.45),
        (Symmetric(0.5, include_true=True, exact="total"), 0.45),
        (Asymmetric(0.4, "cifar10"), 0.2),
        (Asymmetric(0.4, "cifar10", chained=True), 0.184),
        (PairFlip(0.45), 0.45),
    ],
)
def test_the_expected_rate_of_balanced_classes_is_the_mean_over_classes(noise: LabelNoise, expected: float) -> None:
    assert expected_rate(noise, torch.arange(10).repeat(3), 10) == pytest.approx(expected)


def test_expected_rate_weighs_classes_by_their_samples() -> None:
    assert expected_rate(Asymmetric(0.4, {0: 1}), torch.tensor([0, 0, 0, 1, -1]), 2) == pytest.approx(0.3)


# --- Arguments


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (NoNoise(), {}),
        (Symmetric(0.4, exact="total"), {"rate": 0.4, "include_true": False, "exact": "total"}),
        (Asymmetric(0.4, {3: 5}), {"rate": 0.4, "flips": {"3": 5}, "chained": False}),
        (TransitionMatrix([[1, 0], [0, 1]]), {"matrix": [[1, 0], [0, 1]]}),
    ],
)
def test_arguments_are_read_back(noise: LabelNoise, expected: dict[str, object]) -> None:
    assert noise_arguments(noise) == expected


def test_a_path_is_read_back_as_text(tmp_path: Path) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text("1,0\n0,1\n")
    assert noise_arguments(TransitionMatrix(path)) == {"matrix": str(path)}


# --- Manifest


def test_manifest_comes_back_bit_for_bit(tmp_path: Path) -> None:
    labels = table()
    noises = (Symmetric(1 / 3), Asymmetric(0.1, {0: 2}), TransitionMatrix([[0.1, 0.7, 0.2]] * 3), NoNoise())
    for noise in noises:
        write_manifest(tmp_path, summary(labels, noise), labels)
        first = [(tmp_path / name).read_bytes() for name in ("noise.csv", "noise.json")]
        read_summary, read_labels = read_manifest(tmp_path)
        assert read_summary == summary(labels, noise)
        for name in ("true_labels", "given_labels", "train_indices", "val_indices"):
            assert torch.equal(getattr(read_labels, name), getattr(labels, name))
            assert getattr(read_labels, name).dtype == torch.int64
        write_manifest(tmp_path, read_summary, read_labels)
        assert [(tmp_path / name).read_bytes() for name in ("noise.csv", "noise.json")] == first


def test_the_files_say_what_they_should(tmp_path: Path) -> None:
    written(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.csv", "noise.json"]
    assert (tmp_path / "noise.csv").read_bytes().decode().split("\n") == [
        "index,true_label,given_label,split",
        "0,0,0,train",
        "1,0,0,val",
        "2,0,1,train",
        "3,0,2,train",
        "4,1,1,unused",
        "5,1,0,val",
        "6,,2,train",
        "7,1,1,unused",
        "",
    ]
    entries = json.loads((tmp_path / "noise.json").read_text())
    assert entries == {
        "kind": "Symmetric",
        "arguments": {"rate": 0.4, "include_true": False, "exact": "none"},
        "seed": 7,
        "nominal_rate": 0.4,
        "expected_rate": pytest.approx(0.4),
        "realised_rate": pytest.approx(3 / 7),
        "nominal_matrix": [[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6]],
        "realised_matrix": [[0.5, 0.25, 0.25], [1 / 3, 2 / 3, 0], [0, 0, 0]],
        "label_hash": label_hash(GIVEN),
        "dataset": "Digits",
        "dataset_checksum": "0a" * 32,
        "num_samples": 8,
        "num_classes": 3,
        "num_foreign": 0,
        "foreign_checksum": None,
        "redraw": "once",
        "num_known": 7,
    }


def test_noise_that_depends_on_the_image_has_no_nominal_matrix(tmp_path: Path) -> None:
    unknown = replace(summary(table()), nominal_matrix=None, expected_rate=None, realised_rate=None)
    write_manifest(tmp_path, unknown, table())
    assert read_manifest(tmp_path)[0] == unknown


@pytest.mark.parametrize("size", [0, 1])
def test_manifest_of_no_sample_and_of_one(size: int, tmp_path: Path) -> None:
    none = torch.empty(0, dtype=torch.int64)
    labels = LabelTable(torch.zeros(size, dtype=torch.int64), torch.ones(size, dtype=torch.int64), none, none)
    write_manifest(tmp_path, summary(labels), labels)
    read_summary, read_labels = read_manifest(tmp_path)
    assert read_summary == summary(labels)
    assert torch.equal(read_labels.given_labels, labels.given_labels)


def test_a_failed_write_leaves_the_old_files_and_nothing_else(tmp_path: Path) -> None:
    written(tmp_path)
    before = (tmp_path / "noise.json").read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_manifest(tmp_path, replace(summary(table()), nominal_rate=float("nan")), table())
    assert (tmp_path / "noise.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.csv", "noise.json"]


def test_a_write_cut_short_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(path: Path, target: Path) -> None:
        raise OSError("no space left")

    before = (written(tmp_path) / "noise.csv").read_bytes()
    monkeypatch.setattr(Path, "replace", cut_short)
    with pytest.raises(OSError, match="no space left"):
        write_manifest(tmp_path, summary(table(GIVEN)), table(GIVEN))
    assert (tmp_path / "noise.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise.csv", "noise.json"]


@pytest.mark.parametrize("name", ["noise.csv", "noise.json"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    (written(tmp_path) / name).unlink()
    with pytest.raises(InputError, match=rf"{name} is missing: name the folder of a run"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("noise.csv", "7,1,1,unused\n", "7,1,1,un", r"noise\.csv ends in the middle of a line"),
        ("noise.csv", "7,1,1,unused\n", "", r"holds other labels .* restore both files from the same run"),
        ("noise.csv", "4,1,1,", "4,1,0,", r"holds other labels"),
        ("noise.csv", "4,1,1,", "5,1,1,", r"line 6: '5,1,1,unused' is no row of .*: index 5 where 4 belongs"),
        ("noise.csv", "4,1,1,", "4,1,nan,", r"line 6: .*invalid literal"),
        ("noise.csv", "4,1,1,", "4,1,", r"line 6: .*not enough values"),
        ("noise.csv", "unused", "test", r"line 6: '4,1,1,test' is no row"),
        ("noise.csv", "true_label", "label", r"noise\.csv must begin with 'index,"),
        ("noise.json", '"redraw": "once"\n}\n', "", r"noise\.json is damaged: Expecting property name"),
        ("noise.json", '"seed": 7,', "", r"noise\.json is damaged: KeyError 'seed'"),
    ],
)
def test_torn_files_are_refused(name: str, old: str, new: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("noise.csv", b""), ("noise.json", b"[]"), ("noise.csv", b"\xff\xfe")])
def test_foreign_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    (written(tmp_path) / name).write_bytes(content)
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        read_manifest(tmp_path)


# --- Text


def test_small_matrix_is_a_table() -> None:
    assert format_matrix(realised_matrix(TRUE, GIVEN, 3), ["cat", "dog", "ox"]).split("\n") == [
        "true \\ given     0     1     2",
        " 0 cat        50.0  25.0  25.0",
        " 1 dog        33.3  66.7     .",
        " 2 ox         no sample",
        "wrong per class: 33.3 to 50.0 %, mean 41.7 %; 2 of 2 classes are touched",
    ]


def test_large_matrix_is_summed_up() -> None:
    matrix = Asymmetric(0.4, {0: 1, 20: 3}).transition_matrix(100)
    assert format_matrix(matrix, [str(label) for label in range(100)]).split("\n") == [
        "0  as 1: 40.0",
        "20 as 3: 40.0",
        "wrong per class: 0.0 to 40.0 %, mean 0.8 %; 2 of 100 classes are touched",
    ]
    everywhere = format_matrix(Symmetric(0.4).transition_matrix(100), ["x"] * 100).split("\n")
    assert len(everywhere) == 11
    assert format_matrix(NoNoise().transition_matrix(100), ["x"] * 100).startswith("wrong per class: 0.0 to 0.0 %")


def test_a_matrix_without_samples_is_written_as_a_line_that_says_so() -> None:
    assert format_matrix(torch.zeros(3, 3), ["a", "b", "c"]) == "no sample with a known true label"
