"""Lists of paths and labels, for images in files."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from noisy_lightning.data import Digits, ImageFolder, LabelFile, NoisyDataModule
from noisy_lightning.data.noise.label_lists import read_list
from noisy_lightning.data.sets.embedded import Embedded
from noisy_lightning.errors import InputError
from tests.networks import Plain

Opened = Callable[..., NoisyDataModule]
NAMES = ["cat/1.png", "cat/a 2.png", "sea lion/3.png", "sea lion/4,5.png"]
LABELS = [1, 0, 1, 0]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Return what opens a folder of four images with labels of a list, which it writes."""
    for name in NAMES:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / "images" / name)

    def open_with(text: str) -> NoisyDataModule:
        (tmp_path / "list.txt").write_text(text, encoding="utf-8")
        data = ImageFolder(
            tmp_path / "images", image_size=4, channels=1, validation="none", noise=LabelFile(tmp_path / "list.txt")
        )
        data.setup("fit")
        return data

    return open_with


def lines(separator: str, labels: list[object], names: list[str] = NAMES) -> list[str]:
    return [f"{name}{separator}{label}" for name, label in zip(names, labels, strict=True)]


@pytest.mark.parametrize(
    ("separator", "labels"),
    [
        *((separator, LABELS) for separator in (" ", "\t", ",", ";", "  ", ", ")),
        # A name with a blank needs another separator.
        *((separator, ["sea lion", "cat", "sea lion", "cat"]) for separator in ("\t", ",", ";", ", ")),
    ],
)
def test_labels_belong_to_paths_whatever_separates_them(separator: str, labels: list[object], opened: Opened) -> None:
    assert opened("\n".join(lines(separator, labels))).labels.tolist() == LABELS


def test_a_table_of_paths_and_labels_is_a_list(opened: Opened, tmp_path: Path) -> None:
    opened("\n".join(lines(",", list(LABELS))))  # makes the images
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("label", " path"), *zip(LABELS, NAMES, strict=True)])
    data = ImageFolder(tmp_path / "images", image_size=4, channels=1, validation="none", noise=LabelFile(table))
    data.setup("fit")
    assert data.labels.tolist() == LABELS
    table.write_text("path,label\ncat/1.png\n")
    with pytest.raises(InputError, match=r"labels\.csv, line 2, has 1 cells, its first line 2"):
        LabelFile(table)


def test_order_comments_other_images_and_ways_of_writing_paths_do_not_matter(opened: Opened) -> None:
    one, two, three, four = lines(" ", list(LABELS))
    texts = ["\ufeff# of the archive", "", f"./{four}", "elsewhere/9.png 17", one, three, "cat\\a 2.png 0", one]
    assert two == "cat/a 2.png 0"
    assert opened("\r\n".join(texts)).labels.tolist() == LABELS


def test_labels_are_names_where_they_are_and_numbers_elsewhere(tmp_path: Path) -> None:
    """Folders 1, 2 and 10 are classes 0, 2 and 1, sorted as texts."""
    for name in ("1", "2", "10"):
        (tmp_path / "images" / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(tmp_path / "images" / name / "0.png")
    found = []
    for labels in (["1", "10", "2"], ["0", "1", "2"]):
        (tmp_path / "list.txt").write_text("\n".join(lines(" ", list(labels), ["1/0.png", "10/0.png", "2/0.png"])))
        data = ImageFolder(
            tmp_path / "images", image_size=4, channels=1, validation="none", noise=LabelFile(tmp_path / "list.txt")
        )
        data.setup("fit")
        found.append(data.labels.tolist())
    assert found == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            lines(" ", list(LABELS))[1:],
            r"has no label for 1 of 4 training images: the first is cat/1\.png; the file's first path is cat/a 2\.png, "
            r"and paths start from the folder data\.root$",
        ),
        (
            [*lines(" ", list(LABELS)), "cat/a 2.png 1"],
            r", line 5: cat/a 2\.png is labeled '1', and '0' in line 2$",
        ),
        (lines(" ", [1, 0, 1, 2]), r", line 4: '2' is no class by its name, of cat, sea lion, nor by its number, in"),
        (lines(" ", [1, -1, 1, 0]), r", line 2: '-1' is no class by its name"),
        (
            lines("\t", ["cat", "Sea Lion", "cat", "cat"]),
            r", line 2: 'Sea Lion' is no class .*; did you mean 'sea lion'",
        ),
        (lines("\t", ["cat", "sealoin", "cat", "cat"]), r", line 2: 'sealoin' is no class .*; did you mean 'sea lion'"),
        (lines(" ", ["cat", 0, "cat", "cat"]), r", line 2: '0' is no class by its name, of cat, sea lion$"),
        ([*lines("\t", list(LABELS)), "3"], r", line 5, must be a path and a label, got '3'$"),
    ],
)
def test_a_list_of_other_images_or_classes_is_refused(text: list[str], message: str, opened: Opened) -> None:
    with pytest.raises(InputError, match=rf"^path: .*list\.txt{message if message[0] == ',' else ' ' + message}") as e:
        opened("\n".join(text))
    assert str(e.value).isprintable()


def test_images_without_paths_have_no_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png 0\n")
    data = Digits(noise=LabelFile(tmp_path / "list.txt"))
    with pytest.raises(
        InputError, match=r"^path: .*list\.txt lists images by their paths, and the images of this data"
    ):
        data.setup("fit")


def test_a_list_takes_no_column_and_no_source(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png 0\n")
    with pytest.raises(InputError, match=r"^column must be left out for .*list\.txt, which lists paths and labels"):
        LabelFile(tmp_path / "list.txt", "worst")
    with pytest.raises(InputError, match=r"^source must be left out for .*list\.txt, which names no foreign images"):
        LabelFile(tmp_path / "list.txt", source=Digits())


def test_features_have_the_paths_of_their_images(opened: Opened, tmp_path: Path) -> None:
    opened("\n".join(lines(" ", list(LABELS))))
    files = ImageFolder(tmp_path / "images", image_size=4, channels=1)
    noise = LabelFile(tmp_path / "list.txt")
    data = Embedded(files, Plain, stages=0, cache=tmp_path / "features", noise=noise, validation="none")
    data.setup("fit")
    assert data.labels.tolist() == LABELS


def test_a_list_goes_through_fit_and_names_itself_in_the_run(opened: Opened, run: Callable[..., int]) -> None:
    opened("\n".join(lines(" ", list(LABELS))))
    folder = ("--data", "ImageFolder", "--data.root", "images", "--data.image_size", "4", "--data.channels", "1")
    noise = ("--data.noise", "LabelFile", "--data.noise.path", "list.txt", "--data.validation", "none")
    network = ("--model.backbone", "tests.networks.Plain", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1")
    quick = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--recorder.pictures", "false")
    assert run("fit", *folder, *noise, *network, *quick, "--data.batch_size", "4") == 0
    with Path("runs/default/0/noise.csv").open(newline="") as file:
        assert [int(row["given_label"]) for row in csv.DictReader(file)] == LABELS


def test_the_separator_is_that_of_all_lines(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a, b.png 1\nc.png 2\n")
    assert [line[1:] for line in read_list(tmp_path / "list.txt")] == [("a, b.png", "1"), ("c.png", "2")]
