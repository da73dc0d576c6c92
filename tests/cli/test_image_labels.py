"""Which images are found, and which labels they have: what is not clear is refused."""

from pathlib import Path

import pytest

from noisy_lightning.cli.image_labels import find_images, image_labels
from noisy_lightning.errors import InputError

CLASSES = ["cat", "dog"]


def _touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _labels(*given: str, labels: str | None = None) -> list[int] | None:
    paths = [Path(one) for one in given]
    return image_labels(find_images(paths, Path("out")), paths, labels, CLASSES)


def test_images_of_folders_are_found_at_any_depth_and_sorted() -> None:
    _touch("a/b/2.JPG", "a/1.png", "a/.hidden.png", "a/.git/3.png", "a/notes.txt", "a/out/4.png", "single.xyz")
    found = find_images([Path("a"), Path("single.xyz"), Path("a/1.png")], left_out=Path("a/out"))
    assert list(map(str, found)) == ["a/1.png", "a/b/2.JPG", "single.xyz"]


@pytest.mark.parametrize(
    ("path", "message"),
    [("nowhere", "images: there is no file or folder nowhere"), ("a", r"images: a holds no image \(.*\.png.*\)")],
)
def test_where_there_is_no_image_it_is_said(path: str, message: str) -> None:
    _touch("a/notes.txt")
    with pytest.raises(InputError, match=message):
        find_images([Path(path)], Path("out"))


def test_folders_of_classes_are_labels() -> None:
    _touch("a/cat/deep/1.png", "a/dog/1.png", "b/1.png")
    assert _labels("a") == [0, 1]
    assert _labels("a", "b") == [0, 1, -1]
    assert _labels("b") is None
    assert _labels("a/cat") is None
    assert _labels("a", labels="none") is None


def test_the_present_folder_is_one_too() -> None:
    _touch("dog/1.png", "cat/1.png")
    assert _labels(".") == [0, 1]


@pytest.mark.parametrize(
    ("also", "message"),
    [
        ("a/owl/1.png", "a/owl is no class of the run"),
        ("a/1.png", "others lie beside them"),
        ("a/Dog/1.png", "a/Dog is no class of the run, but dog is: rename one"),
    ],
)
def test_folders_of_classes_and_of_others_are_refused(also: str, message: str) -> None:
    _touch("a/cat/1.png", also)
    with pytest.raises(InputError, match=message):
        _labels("a")


def test_a_class_by_another_case_is_refused() -> None:
    _touch("a/Cat/1.png")
    with pytest.raises(InputError, match="a/Cat is no class of the run"):
        _labels("a")


def test_a_table_of_labels_starts_from_its_own_folder() -> None:
    _touch("a/1.png", "a/2.png", "a/3.png")
    Path("a/labels.csv").write_text("\ufeffpath, label ,more\n1.png,dog,x\n../a/3.png,cat,y\n4.png,cat,\n")
    assert _labels("a", labels="a/labels.csv") == [1, -1, 0]


def test_lines_of_no_image_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    _touch("a/1.png", "a/2.png")
    Path("a/labels.csv").write_text("path,label\n1.png,dog\n9.png,cat\n8.png,cat\n")
    assert _labels("a", labels="a/labels.csv") == [1, -1]
    assert capsys.readouterr().err == "labels: 2 of 3 lines of a/labels.csv name none of these images\n"


def test_a_table_may_be_that_of_a_spreadsheet() -> None:
    _touch("a/1.png", "a/2.png")
    Path("a/labels.csv").write_text("Filename;Class\n1.png;dog\n2.png;cat\n", encoding="utf-16")
    assert _labels("a", labels="a/labels.csv") == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n1.png,owl\n", "labels: a/l.csv, line 2: 'owl' is no class of the run, which are cat, dog"),
        ("path,label\n1.png\n", "labels: a/l.csv, line 2: there are not as many cells as columns in the first line"),
        (
            "path,class,category\n1.png,cat,cat\n",
            "labels: a/l.csv: the label could be in 'class' or 'category': call one",
        ),
        ("path,label\n1.png,cat\n./1.png,dog\n", "labels: a/l.csv, line 3: ./1.png is there twice, with two labels"),
        ("who,label\n1.png,cat\n", "labels: a/l.csv must name the columns path and label .* not who, label"),
        ("path,label_1,label_2\n1.png,cat,dog\n", "labels: a/l.csv must name the columns path and label "),
        ("", "labels: a/l.csv must name the columns path and label in its first line, not nothing"),
        ("path,label\nb/1.png,cat\n", "labels: a/l.csv has no line of these images; its paths start from its own"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    _touch("a/1.png")
    Path("a/l.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        _labels("a", labels="a/l.csv")
