"""noisy-lightning clean --apply: verdicts make a corrected copy, and the original stays as it is."""

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml
from PIL import Image

from noisy_lightning.data import ImageFolder, ImageTable

Run = Callable[..., int]
HEADER = "index,path,label,verdict,new_label"
VERDICTS = [
    HEADER,
    "0,cat/0.png,cat,change,dog",
    "1,cat/1.png,cat,exclude,",
    "2,cat/2.png,cat,unsure,",
    "5,dog/0.png,dog,keep,",
    "6,dog/1.png,dog,,",
]


def draw_image(path: Path, gray: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8), gray).save(path)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Return a folder of five cats and five dogs, each of its own gray."""
    for number in range(10):
        draw_image(tmp_path / f"pets/{('cat', 'dog')[number // 5]}/{number % 5}.png", 20 * number)
    return tmp_path / "pets"


def state_of(root: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def write(path: Path, lines: Sequence[str]) -> str:
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def folder_keys(root: str = "pets") -> tuple[str, ...]:
    return ("--data", "ImageFolder", "--data.root", root, "--data.image_size", "8", "--data.channels", "1")


def labels_by_path(data: ImageFolder | ImageTable) -> dict[str, str]:
    train = data.list_files().train
    return {name: data.class_names[label] for name, label in zip(train.names, train.given_labels.tolist(), strict=True)}


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_a_folder_becomes_a_tree_of_links_that_is_read_back(
    run: Run, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state_of(pets)
    verdicts = write(tmp_path / "verdicts.csv", VERDICTS)
    assert run("clean", "--apply", verdicts, "--out", "clean pets", *folder_keys()) == 0
    printed = capsys.readouterr().out
    assert "1 keep, 1 change, 1 exclude, 1 unsure; 6 samples have none" in printed
    assert "9 of 10 training images as hard links; corrections.csv" in printed
    assert "--data ImageFolder --data.root 'clean pets'" in printed
    out = tmp_path / "clean pets"
    found = labels_by_path(ImageFolder(out))
    kept = {f"cat/{number}.png": "cat" for number in (2, 3, 4)} | {f"dog/{number}.png": "dog" for number in range(5)}
    assert found == {"dog/0_from_cat.png": "dog", **kept}
    assert (out / "dog/0_from_cat.png").samefile(pets / "cat/0.png")
    assert (out / "dog/0.png").samefile(pets / "dog/0.png")
    assert state_of(pets) == before
    with (out / "corrections.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["index", "path", "new_path"], ["0", "cat/0.png", "dog/0_from_cat.png"], ["1", "cat/1.png", ""]]
    assert run("doctor", *folder_keys("clean pets"), "--trainer.accelerator", "cpu") == 0
    assert "9 training images" in capsys.readouterr().out
    assert not list(tmp_path.glob(".*"))

    assert run("clean", "--apply", verdicts, "--out", "clean pets", *folder_keys()) == 2
    assert "is there already, and is left as it is" in refusal(capsys)
    assert labels_by_path(ImageFolder(out)) == found


def test_parts_and_folders_within_a_class_stay_where_they_are(run: Run, tmp_path: Path) -> None:
    names = ["train/cat/a/1.png", "train/cat/2.png", "train/dog/a/1.png", "val/cat/3.png", "val/dog/4.png"]
    for number, name in enumerate([*names, "test/cat/5.png"]):
        draw_image(tmp_path / "pets" / name, 30 * number)
    lines = [HEADER, "1,train/cat/a/1.png,cat,change,dog", "3,val/cat/3.png,cat,change,dog"]
    verdicts = write(tmp_path / "verdicts.csv", lines)
    assert run("clean", "--apply", verdicts, "--out", "new", *folder_keys()) == 0
    data = ImageFolder(tmp_path / "new")
    assert labels_by_path(data) == {
        "train/cat/2.png": "cat",
        "train/dog/a/1.png": "dog",
        "train/dog/a/1_from_cat.png": "dog",
        "val/dog/3.png": "dog",
        "val/dog/4.png": "dog",
    }
    test = data.list_files().test
    assert test is not None
    assert list(test.names) == ["test/cat/5.png"]


def test_where_there_are_no_links_files_are_copied(
    run: Run, pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    assert run("clean", "--apply", write(tmp_path / "v.csv", VERDICTS), "--out", "new", *folder_keys()) == 0
    assert "hard links, 9 of them copies" in capsys.readouterr().out
    assert (tmp_path / "new/dog/0_from_cat.png").read_bytes() == (pets / "cat/0.png").read_bytes()
    assert not (tmp_path / "new/dog/0.png").samefile(pets / "dog/0.png")


def table(tmp_path: Path) -> Path:
    """Write a table with more columns and parts than the command knows of."""
    lines = ["note, path ,split,label,true_label"]
    for number in range(8):
        split = {6: "val", 7: "test"}.get(number, "")
        draw_image(tmp_path / f"images/{number}.png", 20 * number)
        lines.append(
            f'"a, ""b""",images/{number}.png,{split},{("cat", "dog")[number % 2]},{"dog" if not number else ""}'
        )
    (tmp_path / "labels.csv").write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    return tmp_path / "labels.csv"


TABLE = ("--data", "ImageTable", "--data.csv", "labels.csv", "--data.image_size", "8", "--data.channels", "1")
OF_TABLE = [
    HEADER,
    "0,images/0.png,cat,change,dog",
    "3,images/3.png,dog,exclude,",
    "6,images/6.png,cat,change,dog",
]


def test_a_table_becomes_a_table_whose_other_cells_are_as_they_were(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table(tmp_path)
    before = path.read_bytes()
    verdicts = write(tmp_path / "verdicts.csv", OF_TABLE)
    assert run("clean", "--apply", verdicts, "--out", "new/labels.csv", *TABLE) == 0
    assert "--data ImageTable --data.csv new/labels.csv --data.root ." in capsys.readouterr().out
    found = labels_by_path(ImageTable(tmp_path / "new/labels.csv", root=tmp_path))
    labels = {0: "dog", 1: "dog", 2: "cat", 4: "cat", 5: "dog", 6: "dog"}
    assert found == {f"images/{number}.png": label for number, label in labels.items()}
    assert path.read_bytes() == before
    with path.open(newline="", encoding="utf-8-sig") as old, (tmp_path / "new/labels.csv").open(newline="") as new:
        was, now = list(csv.reader(old)), list(csv.reader(new))
    assert now[0] == was[0]
    assert now[1] == ['a, "b"', "images/0.png", "", "dog", "dog"]
    assert now[-1] == was[-1]


def test_what_a_selection_leaves_out_needs_a_verdict_to_stay(run: Run, pets: Path, tmp_path: Path) -> None:
    del pets
    selected = {3, 4, 7, 8, 1}
    lines = ["index,select,candidate,y_noisy", *(f"{i},{int(i in selected)},0,{i // 5}" for i in range(10))]
    selection = ("--data.selection", write(tmp_path / "selection.csv", lines))
    verdicts = write(tmp_path / "verdicts.csv", VERDICTS)
    assert run("clean", "--apply", verdicts, "--out", "new", *folder_keys(), *selection) == 0
    # 3 and 4, 7 and 8 are selected, 1 too, but excluded; 0, 2 and 5 have verdicts; 6 has an empty one.
    assert set(labels_by_path(ImageFolder(tmp_path / "new"))) == {
        *("cat/2.png", "cat/3.png", "cat/4.png", "dog/0.png", "dog/0_from_cat.png", "dog/2.png", "dog/3.png"),
    }


def test_labels_that_were_drawn_are_the_ones_that_are_corrected(
    run: Run, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del pets
    given = [1, 0, 0, 0, 0, 1, 1, 1, 1, 0]
    noise = write(tmp_path / "noisy.csv", ["given_label", *map(str, given)])
    keys = (*folder_keys(), "--data.noise", "LabelFile", "--data.noise.path", noise)
    verdicts = write(tmp_path / "verdicts.csv", [HEADER, "0,cat/0.png,dog,change,cat"])
    assert run("clean", "--apply", verdicts, "--out", "new", *keys) == 0
    assert "--data.noise NoNoise" in capsys.readouterr().out
    found = labels_by_path(ImageFolder(tmp_path / "new"))
    assert found["cat/0.png"] == "cat"
    assert found["cat/4_from_dog.png"] == "cat"
    assert len(found) == 10


def test_the_configuration_that_a_run_of_clean_leaves_is_taken(run: Run, pets: Path, tmp_path: Path) -> None:
    del pets
    data = {"class_path": "ImageFolder", "init_args": {"root": "pets", "image_size": 8, "channels": 1}}
    selector = {"class_path": "nowhere.Nothing"}
    content = {"data": data, "jobs": 2, "drop": None, "selector": selector, "model": {"loss": "unheard of"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    verdicts = write(tmp_path / "verdicts.csv", VERDICTS)
    assert run("clean", f"--apply={verdicts}", "--out", "new", "--config", "config.yaml") == 0
    assert len(labels_by_path(ImageFolder(tmp_path / "new"))) == 9


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "0,cat/0.png,dog,keep,",
            "line 2: it is about other labels: sample 0 has the label 'dog' there",
        ),
        ("0,cat/9.png,cat,keep,", "sample 0 has the path 'cat/9.png' there and 'cat/0.png' here"),
        ("10,cat/0.png,cat,keep,", "line 2: index must be a whole number in [0, 10) for this data set, got '10'"),
        ("-1,dog/4.png,dog,keep,", "got '-1'"),
        ("0,cat/0.png,cat,drop,", "line 2: verdict must be keep, change, exclude, unsure or empty, got 'drop'"),
        ("0,cat/0.png,cat,change,horse", "line 2: new_label 'horse' is no class, which are cat, dog"),
        ("0,cat/0.png,cat,change,", "line 2: new_label '' is no class"),
        ("0,cat/0.png,cat,change,cat", "line 2: new_label 'cat' is the given label"),
        ("0,cat/0.png,cat,exclude,dog", "line 2: new_label must be empty where the verdict is 'exclude', got 'dog'"),
        ("0,cat/0.png,cat,keep", "line 2: there are not as many cells as columns"),
        ("0,cat/0.png,cat,keep,\n0,cat/0.png,cat,keep,", "line 3: index 0 is there twice"),
        ("\n".join(f"{i},cat/{i}.png,cat,exclude," for i in range(5)), "no image of cat would be left to train on"),
    ],
)
def test_verdicts_that_do_not_fit_are_refused_and_nothing_is_written(
    run: Run, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    verdicts = write(tmp_path / "verdicts.csv", [HEADER, line])
    assert run("clean", "--apply", verdicts, "--out", "new", *folder_keys()) == 2
    assert message in refusal(capsys)
    assert set(tmp_path.iterdir()) == {pets, tmp_path / "verdicts.csv"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((*folder_keys(), "--out", "pets/new"), "lies in pets, whose folders are classes"),
        ((*TABLE, "--out", "new"), "out must be a .csv file for an ImageTable"),
        (("--data", "Digits", "--out", "new"), "Digits is no folder or table of images to copy"),
        (folder_keys(), "needs out"),
        ((*folder_keys(), "--out", "new", "--config", "missing.yaml"), "missing.yaml"),
    ],
)
def test_what_cannot_be_copied_is_refused(
    run: Run, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: Sequence[str], message: str
) -> None:
    table(tmp_path)
    before = state_of(tmp_path)
    verdicts = write(tmp_path / "verdicts.csv", [HEADER])
    assert run("clean", "--apply", verdicts, *args) == 2
    assert message in refusal(capsys)
    (tmp_path / "verdicts.csv").unlink()
    assert state_of(tmp_path) == before


def test_a_file_that_is_no_list_of_verdicts_is_refused(
    run: Run, pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del pets
    labels = write(tmp_path / "labels.csv", ["index,given_label,previous_label,verdict", "0,1,0,changed"])
    assert run("clean", "--apply", labels, "--out", "new", *folder_keys()) == 2
    assert "has no column path, label, new_label: is it a verdicts.csv" in refusal(capsys)
    (tmp_path / "labels.csv").write_bytes(b"\xff\xfe\x00")
    assert run("clean", "--apply", labels, "--out", "new", *folder_keys()) == 2
    assert "labels.csv is damaged" in refusal(capsys)


def test_a_copy_that_would_be_read_otherwise_is_not_left(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(4):
        draw_image(tmp_path / f"{number}.png", number)
    trusted = ["path,label,true_label,trusted", "0.png,cat,cat,1", "1.png,dog,,", "2.png,cat,,", "3.png,dog,,"]
    write(tmp_path / "labels.csv", trusted)
    verdicts = write(tmp_path / "verdicts.csv", [HEADER, "0,0.png,cat,change,dog"])
    assert run("clean", "--apply", verdicts, "--out", "new.csv", *TABLE) == 2
    assert "the label 'dog' is trusted, but true_label is 'cat'" in refusal(capsys)
    assert not [path for path in tmp_path.iterdir() if "new" in path.name]


def test_verdicts_of_odd_names_are_recognized(run: Run, tmp_path: Path) -> None:
    odd = ["=1+1", "'-x", 'a, "b"', "line\nend", os.fsdecode(b"byte\xff")]
    for name in odd:
        draw_image(tmp_path / f"pets/=class/{name}.png", 9)
        draw_image(tmp_path / f"pets/dog/{name}.png", 99)
    data = ImageFolder(tmp_path / "pets")
    with (tmp_path / "verdicts.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.split(","))
        for index, name in enumerate(data.train_names):
            shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            mark = "'" * name.startswith("=")
            label = data.class_names[int(index >= 5)]
            row = (f"{mark}{shown}", f"{mark}{label}", "change", "'=class") if index in (7, 8) else None
            writer.writerow((index, *(row or (f"{mark}{shown}", f"{mark}{label}", "keep", ""))))
    assert run("clean", "--apply", "verdicts.csv", "--out", "new", *folder_keys()) == 0
    found = labels_by_path(ImageFolder(tmp_path / "new"))
    assert sorted(found.values()) == ["=class"] * 7 + ["dog"] * 3
