"""Tables as spreadsheets and other programs write them, and tables of several annotators."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from noisy_lightning.data import ImageTable
from noisy_lightning.errors import InputError
from tests.networks import Plain

Run = Callable[..., int]
CLASSES = ("Vögel", "Hünde", "Fische")
COUNT = 36
PARTS = ("train", "train", "train", "train", "val", "test")
# What makes a run short.
QUICK = (
    *("--data", "ImageTable", "--data.image_size", "8", "--data.batch_size", "12"),
    *("--model.backbone", f"{Plain.__module__}.{Plain.__name__}", "--recorder.pictures", "false"),
    *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.devices", "1"),
)


def paths() -> list[str]:
    return [f"photos/été {number % 2}/{number}.png" for number in range(COUNT)]


def labels() -> list[str]:
    return [CLASSES[(number + number // 6) % 3] for number in range(COUNT)]


def parts() -> list[str]:
    return [PARTS[number % 6] for number in range(COUNT)]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the pictures, each class of its own color, into the current folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for path, label in zip(paths(), labels(), strict=True):
        pixels = random.integers(0, 100, (9, 8, 3), dtype=np.uint8)
        pixels[..., CLASSES.index(label)] += 150
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path


def text(separator: str, header: Sequence[str], *columns: Sequence[object], end: str = "\n") -> str:
    rows = [header, *zip(*columns, strict=True)]
    return "".join(separator.join(map(str, row)) + end for row in rows)


def opened(name: str, content: bytes, **arguments: Any) -> ImageTable:
    Path(name).write_bytes(content)
    return ImageTable(Path(name), **{"image_size": 8, **arguments})


def check_whole(data: ImageTable) -> None:
    """Check that a table is that of all pictures."""
    data.setup()
    assert sorted(data.class_names) == sorted(CLASSES)
    train = [place for place, part in enumerate(parts()) if part != "test"]
    assert list(data.train_names) == [paths()[place] for place in train]
    assert [data.class_names[label] for label in data.labels.tolist()] == [labels()[place] for place in train]
    assert [parts()[train[index]] for index in data.val_indices.tolist()] == ["val"] * 6
    assert data.test_names == [path for path, part in zip(paths(), parts(), strict=True) if part == "test"]


def european() -> bytes:
    """Return what a German spreadsheet saves as CSV, with empty rows at the end."""
    windows = [path.replace("/", "\\") for path in paths()]
    splits = [{"train": "Training", "val": "Validation", "test": "Test"}[part] for part in parts()]
    numbers = [f"{number},5" for number in range(COUNT)]
    trusted = [("WAHR", "FALSCH")[number % 2] for number in range(COUNT)]
    header = ("Datei", "Klasse", "Subset", "Schärfe", "Trusted")
    return (text(";", header, windows, labels(), splits, numbers, trusted, end="\r\n") + ";;;;\r\n").encode("cp1252")


def american() -> bytes:
    """Return what a US spreadsheet saves as "CSV UTF-8", with absolute paths."""
    absolute = [f'"{Path(path).absolute()}"' for path in paths()]
    body = text(",", ("Image Path", "Category", "Split"), absolute, labels(), parts(), end="\r\n")
    return body.encode("utf-8-sig")


def unicode_text() -> bytes:
    """Return what a spreadsheet saves as "Unicode text"."""
    return text("\t", ("filename", "class", "subset"), paths(), labels(), parts(), end="\r\n").encode("utf-16")


def with_separator() -> bytes:
    """Return a table whose first line says how it is separated."""
    return b"sep=;\r\n" + text(";", ("path", "label", "split"), paths(), labels(), parts()).encode()


GERMAN: dict[str, str | list[str] | None] = {"path": "Datei", "label": "Klasse"}
VARIANTS: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
    "european.csv": (european, {"columns": GERMAN}),
    "american.csv": (american, {}),
    "unicode.txt": (unicode_text, {}),
    "tabs.tsv": (lambda: text("\t", ("image", "target", "set"), paths(), labels(), parts()).encode(), {}),
    "bars.csv": (lambda: text("|", ("FILE", "LABEL", "SPLIT"), paths(), labels(), parts()).encode(), {}),
    "named.csv": (with_separator, {}),
    "mac.csv": (
        lambda: text(";", ("path", "label", "split"), paths(), labels(), parts()).encode("mac_roman"),
        {"encoding": "mac_roman"},
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_way_to_write_a_table_is_read_alike(name: str, photos: Path) -> None:
    content, arguments = VARIANTS[name]
    check_whole(opened(name, content(), **arguments))


@pytest.mark.parametrize("kind", ["numbers", "names", "categories"])
def test_parquet_is_read_by_its_name(kind: str, photos: Path) -> None:
    given: Any = labels() if kind != "numbers" else [CLASSES.index(label) for label in labels()]
    column = pa.array(given).dictionary_encode() if kind == "categories" else pa.array(given)
    others = {"embedding": [[0.5, 1.0]] * COUNT, "thumbnail": [b"\xff\x00"] * COUNT}
    parquet.write_table(pa.table({"path": paths(), "label": column, "split": parts(), **others}), "t.parquet")
    data = ImageTable(Path("t.parquet"), image_size=8)
    if kind != "numbers":
        check_whole(data)
        return
    assert data.class_names == ["0", "1", "2"]
    data.setup("fit")
    train = [CLASSES.index(label) for label, part in zip(labels(), parts(), strict=True) if part != "test"]
    assert data.labels.tolist() == train


def test_what_is_wrong_in_parquet_has_its_row(photos: Path) -> None:
    parquet.write_table(pa.table({"path": paths(), "label": [None, *labels()[1:]]}), "t.parquet")
    with pytest.raises(InputError, match=r"^data\.csv: t\.parquet, row 1: there is no label"):
        ImageTable(Path("t.parquet"))
    Path("t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"t\.parquet is damaged"):
        ImageTable(Path("t.parquet"))


def test_how_a_table_was_understood_is_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened("european.csv", european(), columns=GERMAN).setup("fit")
    said = "european.csv: semicolons, Windows-1252; Subset is the split; Trusted is the trusted"
    assert said in capsys.readouterr().err
    opened("plain.csv", text(",", ("path", "label"), paths(), labels()).encode()).setup("fit")
    assert "plain.csv" not in capsys.readouterr().err


FIRST, SECOND = paths()[:2]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (f"file;image;label\n{FIRST};x;a\n", {}, r"the path could be in 'file' or 'image': say which by data\.columns"),
        (f"path,class,category\n{FIRST},a,b\n", {}, "the label could be in 'class' or 'category'"),
        (f"path,label,label\n{FIRST},a,b\n", {}, "2 columns are called 'label'"),
        (f"path;species\n{FIRST};a\n", {"columns": {"label": "spceies"}}, "no column 'spceies' .*did you mean species"),
        (f"path,label\n{FIRST},a\n", {"columns": {"lable": "label"}}, r"data\.columns takes .*did you mean label"),
        (f"path,label\n{FIRST},a\n", {"columns": {"path": ["path", "label"]}}, r"data\.columns\.path must be one name"),
        (f"path,label\n{FIRST},a\n", {"columns": {"label": ["label"]}}, r"data\.columns\.label must be a name, or"),
        (f"path,label\n{FIRST},a\n", {"encoding": "utf-9"}, r"data\.encoding: there is no encoding 'utf-9'"),
        (f"path,label,set\n{FIRST},a,A\n", {}, r"line 2: set, read as the split unless data\.columns '{split: null}'"),
        (f'path,label\n{FIRST},a\n{SECOND},"b\n', {}, "line 3: unexpected end of data"),
        (f"path;label\n{FIRST};a;b\n", {}, "line 2: there are not as many cells .* line, 3 instead of 2"),
        (f"path,label\n{FIRST},great dane\n{SECOND},Great Dane\n", {}, "differ by case only"),
        (f"path,label\n{FIRST},great dane\n{SECOND},great  dane\n", {}, "'great dane' differ by blanks only"),
        ("path,label\nC:\\photos\\1.png,a\n", {}, r"line 2: the path must be relative .* got C:\\photos"),
        ("path,label\nphotos\\..\\..\\1.png,a\n", {}, "line 2: the path must be relative"),
        (b"path,label\n1.png,\xe9t\x81\n", {}, r"line 2: it is no Windows-1252 text \(bytes 81\): it is no UTF-8 text"),
        (b"path,label\n1.png,a\n2.png,\xff\n", {"encoding": "utf-8"}, r"line 3: .* UTF-8 text \(bytes ff\): name"),
        ("path,label\n1.png,a\n".encode("utf-16-le"), {}, "line 1: it is no UTF-8 text: .*utf-16-le"),
        (b"\xff\xfe" + "path,label\n1.png,a\n".encode("utf-16-le")[:-1], {}, "line 2: it is no UTF-16 text"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named(
    content: str | bytes, arguments: dict[str, Any], message: str, photos: Path
) -> None:
    with pytest.raises(InputError, match=message) as error:
        opened("t.csv", content.encode() if isinstance(content, str) else content, **arguments)
    assert "\n" not in str(error.value)


def test_a_column_can_be_left_out_and_one_of_the_exact_name_counts(photos: Path) -> None:
    content = text(",", ("path", "filename", "label", "set"), paths(), ["?"] * COUNT, labels(), ["A"] * COUNT).encode()
    data = opened("t.csv", content, columns={"split": None})
    assert data.num_samples == COUNT
    assert not data.has_test_set


def test_a_backslash_of_a_name_is_kept_where_such_a_file_is_there(photos: Path) -> None:
    Path("a\\b.png").write_bytes(Path(FIRST).read_bytes())
    data = opened("t.csv", f"path,label\na\\b.png,a\n{SECOND},b\n".encode().replace(b"/", b"\\"))
    assert data.train_names == ["a\\b.png", SECOND]


def test_an_accent_of_its_own_character_is_the_same_label(photos: Path) -> None:
    data = opened("t.csv", f"path,label\n{FIRST},e\u0301te\u0301\n{SECOND},\u00e9t\u00e9\n{paths()[2]},b\n".encode())
    assert data.class_names == ["b", "\u00e9t\u00e9"]


# Several annotators


def crowd() -> list[tuple[str, str, str, str]]:
    """Return path, label, part and annotator of three annotators who are right nine times of ten, and of a spammer."""
    random = np.random.default_rng(0)
    rows = []
    for path, label, part in zip(paths(), labels(), parts(), strict=True):
        for number in range(4):
            is_right = number < 3 and random.random() < 0.9
            rows.append((path, label if is_right else str(random.choice(CLASSES)), part, f"worker {number}"))
    return rows


def long() -> bytes:
    return text(",", ("path", "label", "split", "worker_id"), *zip(*crowd(), strict=True)).encode()


def wide() -> bytes:
    """Return the same with a column per annotator."""
    given = [[label for _, label, _, name in crowd() if name == f"worker {number}"] for number in range(4)]
    return text(";", ("path", "split", *(f"label {n}" for n in range(4))), paths(), parts(), *given).encode()


@pytest.mark.parametrize("rule", ["majority", "dawid_skene"])
def test_lines_and_columns_of_annotators_are_the_same(rule: Any, photos: Path) -> None:
    both = [opened("long.csv", long(), consensus=rule), opened("wide.csv", wide(), consensus=rule)]
    for data in both:
        data.setup()
    assert both[0].labels.tolist() == both[1].labels.tolist()
    assert both[0].test_source.labels.tolist() == both[1].test_source.labels.tolist()
    (first, second) = (data.source.consensus for data in both)
    assert first is not None
    assert second is not None
    assert first.agreement.tolist() == second.agreement.tolist()
    assert first.annotations.annotators == [f"worker {number}" for number in range(4)]
    true = [label for label, part in zip(labels(), parts(), strict=True) if part != "test"]
    right = [both[0].class_names[label] == name for label, name in zip(both[0].labels.tolist(), true, strict=True)]
    assert np.mean(right) > 0.85


def test_the_order_of_lines_changes_no_label(photos: Path) -> None:
    header, *lines = long().decode().splitlines()
    np.random.default_rng(3).shuffle(lines)
    one, other = opened("a.csv", long()), opened("b.csv", "\n".join([header, *lines]).encode())
    found = []
    for data in (one, other):
        data.setup("fit")
        found.append(dict(zip(data.train_names, data.labels.tolist(), strict=True)))
    assert found[0] == found[1]


def test_columns_of_annotators_can_be_named_and_have_gaps(photos: Path) -> None:
    rows = f"path,anna,ben,note\n{FIRST},a,a,x\n{SECOND},,b,x\n{paths()[2]},b,,x\n"
    data = opened("t.csv", rows.encode(), columns={"label": ["anna", "ben"]}, validation="none")
    data.setup("fit")
    assert [data.class_names[label] for label in data.labels.tolist()] == ["a", "b", "b"]
    assert data.source.consensus is not None
    assert data.source.consensus.counts.tolist() == [2, 1, 1]


def test_an_annotator_of_each_image_changes_nothing(photos: Path) -> None:
    data = opened("t.csv", text(",", ("path", "label", "worker"), paths(), labels(), ["x"] * COUNT).encode())
    data.setup("fit")
    assert data.source.consensus is None
    assert data.label_table().consensus is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (f"{FIRST},a,train,x\n{FIRST},b,train,x\n", "line 3: annotator 'x' has labeled .* before"),
        (f"{FIRST},a,train,x\n{FIRST},b,val,y\n", "line 3: split of .* is 'val', but 'train' in line 2"),
        (f"{FIRST},a,train,x\n{FIRST},b,train,\n", "line 3: there is no annotator for"),
        (f"{FIRST},a,train,x\n{FIRST},,train,y\n", "line 3: there is no label for"),
        (
            f"{FIRST},a,train,x\n{FIRST},a,train,y\n{FIRST},aa,train,z\n{SECOND},b,train,x\n",
            "line 2: 'aa' is the consensus of no image: correct it",
        ),
    ],
)
def test_annotations_that_contradict_each_other_are_named(lines: str, message: str, photos: Path) -> None:
    with pytest.raises(InputError, match=message):
        opened("t.csv", f"path,label,split,annotator\n{lines}".encode())


# From doctor to a run


@pytest.mark.parametrize("name", ["european.csv", "american.csv"])
def test_a_spreadsheet_goes_from_doctor_to_a_test(
    name: str, photos: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    content, arguments = VARIANTS[name]
    Path(name).write_bytes(content())
    options: tuple[str, ...] = (*QUICK, "--data.csv", name)
    if columns := arguments.get("columns"):
        assert run("doctor", *options) == 1
        assert "must name the columns path and label in its first line, not Datei, Klasse" in capsys.readouterr().out
        options = (*options, "--data.columns", json.dumps(columns))
    assert run("doctor", *options) == 0
    assert "30 training images of 8×8×3 in 3 classes" in capsys.readouterr().out
    assert run("fit", *options) == 0
    assert run("test", "runs/default/0") == 0
    assert "noise.csv" in {path.name for path in Path("runs/default/0").iterdir()}
    assert not Path("runs/default/0/annotators.csv").exists()


def test_a_run_keeps_what_annotators_agree_on(photos: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("t.csv").write_bytes(long())
    options = (*QUICK, "--data.csv", "t.csv", "--data.consensus", "dawid_skene")
    assert run("doctor", *options) == 0
    out = capsys.readouterr().out
    assert re.search(r"crowd    4 annotators gave 120 labels to 30 images: consensus by Dawid and Skene's model", out)
    assert re.search(r"crowd .*\n +worker 3: \d\d\.\d % of 30 labels agree, \d\d\.\d % estimated accuracy\n", out)
    assert run("fit", *options) == 0
    with Path("runs/default/0/annotators.csv").open() as file:
        people = list(csv.DictReader(file))
    accuracy = {row["annotator"]: float(row["accuracy"]) for row in people}
    assert min(accuracy, key=lambda name: accuracy[name]) == "worker 3"
    with Path("runs/default/0/consensus.csv").open() as file:
        images = list(csv.DictReader(file))
    assert [row["path"] for row in images] == [p for p, part in zip(paths(), parts(), strict=True) if part != "test"]
    data = opened("t.csv", long(), consensus="dawid_skene")
    data.setup("fit")
    assert [row["label"] for row in images] == [data.class_names[label] for label in data.labels.tolist()]
    assert {float(row["agreement"]) for row in images} <= {0.25, 0.5, 0.75, 1.0}


def test_verdicts_make_one_label_of_several_annotators(
    photos: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("t.csv").write_bytes(long())
    before = opened("t.csv", long())
    before.setup("fit")
    given, names = before.labels.tolist(), list(before.class_names)
    other = names[(given[0] + 1) % 3]
    rows = f"index,path,label,verdict,new_label\n0,{before.train_names[0]},{names[given[0]]},change,{other}\n"
    Path("verdicts.csv").write_text(rows)
    assert (
        run("clean", "--apply", "verdicts.csv", "--out", "new.csv", "--data", "ImageTable", "--data.csv", "t.csv") == 0
    )
    after = ImageTable(Path("new.csv"), image_size=8)
    after.setup()
    assert not after.is_crowd
    assert list(after.train_names) == list(before.train_names)
    assert [names[label] for label in after.labels.tolist()] == [other, *(names[label] for label in given[1:])]
    assert after.test_names == before.test_names


def test_a_corrected_spreadsheet_is_read_by_the_columns_of_the_original(
    photos: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    data = opened("eu.csv", european(), columns=GERMAN)
    Path("verdicts.csv").write_text(f"index,path,label,verdict,new_label\n0,{data.train_names[0]},Vögel,exclude,\n")
    table = ("--data", "ImageTable", "--data.csv", "eu.csv", "--data.columns", json.dumps(GERMAN))
    assert run("clean", "--apply", "verdicts.csv", "--out", "new.csv", *table) == 0
    assert f"--data.csv new.csv --data.columns '{json.dumps(GERMAN)}'" in capsys.readouterr().out
    again = ImageTable(Path("new.csv"), columns=GERMAN, image_size=8)
    assert list(again.train_names) == list(data.train_names)[1:]
