"""What a folder holds that is not read, and the list of broken images, from the data set to the commands."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from noisy_lightning.data import Digits, ImageFolder, ImageTable
from noisy_lightning.data.sets.unread import LIST_FILE, BrokenList
from noisy_lightning.errors import InputError
from tests.heic import HEIC, forget_heic

Run = Callable[..., int]
NETWORK = ("--model.backbone", "tests.networks.Plain", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1")
QUICK = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--recorder.pictures", "false")
IMAGES = ("--data", "ImageFolder", "--data.root", "images", "--data.image_size", "4", "--data.batch_size", "4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two classes of eight pictures with all sorts of other files."""
    root = tmp_path / "images"
    for number in range(8):
        for name in ("cat", "dog"):
            path = root / name / "deeper" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (6, 6), (30 * number, 0, 0)).save(path)
    for name in ("clip.mp4", "deeper/CLIP.MP4", "notes.txt", "README", ".hidden.mov", ".DS_Store", "Thumbs.db"):
        (root / "cat" / name).touch()
    return root


def opened(root: Path, **arguments: Any) -> ImageFolder:
    return ImageFolder(root, **{"image_size": 4, "mean": [0.5] * 3, "std": [0.5] * 3, **arguments})


def listed(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def spoil(folder: Path, count: int = 7) -> None:
    for number in range(count):
        (folder / f"dog/deeper/{number}.png").write_bytes(b"\x89PNG" if number else b"")


def test_files_that_are_no_images_are_counted_by_suffix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = opened(folder)
    assert str(data.unread) == "not read: 2 .mp4, 1 .txt, 1 without suffix"
    data.setup("fit")
    assert "ImageFolder: not read: 2 .mp4, 1 .txt, 1 without suffix\n" in capsys.readouterr().err
    assert data.list_files().class_names == ["cat", "dog"]
    assert str(data.unread) == "not read: 2 .mp4, 1 .txt, 1 without suffix", "listing again does not count twice"


def test_of_many_suffixes_the_most_frequent_are_named(folder: Path) -> None:
    for number in range(12):
        (folder / f"cat/1.x{number}").touch()
    assert str(opened(folder).unread).endswith(", 5 others")


def test_a_folder_of_images_alone_says_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in list(folder.rglob("*")):
        if path.is_file() and path.suffix != ".png":
            path.unlink()
    data = opened(folder)
    data.setup("fit")
    assert str(data.unread) == ""
    assert "not read" not in capsys.readouterr().err


def test_images_in_no_class_and_what_is_no_file_are_counted(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "loose.jpg")
    (folder / "labels.csv").touch()
    os.mkfifo(folder / "cat/pipe.png")
    (folder / "cat/gone.png").symlink_to(folder / "nowhere.png")
    (folder / "cat/loop.png").symlink_to(folder / "cat/loop.png")
    text = str(opened(folder).unread)
    assert "3 .png (no regular file)" in text
    assert "1 .jpg (in no folder of a class)" in text
    assert ".csv" not in text, "only images are missed there"


def test_a_link_within_the_folder_is_an_image_and_one_out_of_it_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "cat/again.png").symlink_to(folder / "cat/deeper/0.png")
    assert "cat/again.png" in opened(folder).train_names
    Image.new("L", (4, 4)).save(tmp_path / "away.png")
    (folder / "cat/away.png").symlink_to(tmp_path / "away.png")
    with pytest.raises(InputError, match="is a link that leads out of"):
        opened(folder)


def test_the_order_of_images_is_that_of_their_paths(folder: Path) -> None:
    for name in ("cat/z.png", "cat/a/b/c.png", "cat/B.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(folder / name)
    names = list(opened(folder).train_names)
    assert names == sorted(names)
    assert {"cat/z.png", "cat/a/b/c.png", "cat/B.png"} < set(names)


def test_a_class_of_other_files_is_refused_with_what_is_there(folder: Path) -> None:
    (folder / "emu").mkdir()
    (folder / "emu/a.mov").touch()
    with pytest.raises(InputError, match=r"emu holds no image \(.*\): fill or remove it; not read: .*1 \.mov"):
        opened(folder)


# --- HEIC without the extra


@pytest.fixture
def _without_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_heic(monkeypatch)


@pytest.mark.usefixtures("_without_heif")
def test_heic_is_left_out_and_each_file_listed(
    folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat/1.heic", "dog/2.HEIC"):
        (folder / name).write_bytes(HEIC)
    assert run("doctor", *IMAGES) == 0
    printed = capsys.readouterr().out
    assert (
        "WARNING files    not read: 2 .mp4, 1 .txt, 1 without suffix, 2 of HEIC, which need pip install 'noi" in printed
    )
    reason = "it is HEIC, which needs pip install 'noisy_lightning[heic]'"
    expected = [["path", "reason"], ["images/cat/1.heic", reason], ["images/dog/2.HEIC", reason]]
    assert listed(tmp_path / LIST_FILE) == expected
    assert run("fit", *IMAGES, *NETWORK, *QUICK) == 0
    assert f"those of HEIC are listed in runs/default/0/{LIST_FILE}\n" in capsys.readouterr().err
    assert listed(tmp_path / "runs/default/0" / LIST_FILE) == expected


@pytest.mark.usefixtures("_without_heif")
def test_heic_that_a_table_names_is_refused_at_once_or_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "cat/1.heic").write_bytes(HEIC)
    lines = [f"{path.relative_to(folder)},{path.parts[-3]}" for path in sorted(folder.rglob("?.png"))]
    (folder / "t.csv").write_text("path,label\ncat/1.heic,cat\n" + "\n".join(lines))
    arguments: dict[str, Any] = {"image_size": 4, "cache_gib": 0, "workers": 1, "mean": [0.5] * 3, "std": [0.5] * 3}
    with pytest.raises(InputError, match=r"^data\.root: 1 images are HEIC, such as cat/1\.heic: pip install 'noisy"):
        ImageTable(folder / "t.csv", **arguments)
    data = ImageTable(folder / "t.csv", broken="skip", **arguments)
    with pytest.warns(UserWarning, match="1 of 17 images are broken and left out: .*it is HEIC, which needs pip"):
        data.setup("fit")


# --- Broken images


def test_in_python_the_first_broken_images_are_named_and_nothing_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spoil(folder)
    with pytest.raises(
        InputError, match=r"7 of 16 images are broken.*dog/deeper/0\.png cannot be read: it is empty; "
    ) as e:
        opened(folder).setup("fit")
    assert str(e.value).endswith("; …")
    assert not (tmp_path / LIST_FILE).exists()


def test_all_broken_images_are_listed_where_the_command_stops(
    folder: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder)
    for command in (("fit", *QUICK, *NETWORK), ("doctor",)):
        (tmp_path / LIST_FILE).unlink(missing_ok=True)
        assert run(command[0], *IMAGES, *command[1:]) != 0
        printed = "".join(capsys.readouterr())
        assert f"; …; all are listed in {LIST_FILE}\n" in printed
        header, *rows = listed(tmp_path / LIST_FILE)
        assert header == ["path", "reason"]
        assert [row[0] for row in rows] == [f"images/dog/deeper/{number}.png" for number in range(7)]
        assert rows[0][1] == "it is empty"
        assert all(row[1] == "it is no image of a known kind" for row in rows[1:])
    assert not (tmp_path / "runs/default/0").exists()


@pytest.mark.filterwarnings("ignore:. of 16 images are broken")
def test_images_that_are_left_out_are_listed_in_the_folder_of_the_run(folder: Path, run: Run, tmp_path: Path) -> None:
    spoil(folder, 6)
    skip = ("--data.broken", "skip", "--data.validation", "none")
    assert run("fit", *IMAGES, *skip, *NETWORK, *QUICK) == 0
    assert len(listed(tmp_path / "runs/default/0" / LIST_FILE)) == 7
    assert not (tmp_path / LIST_FILE).exists()


def test_broken_images_of_all_sets_are_in_one_list(tmp_path: Path) -> None:
    for root in ("own", "other"):
        for part in ("train", "test"):
            for name in ("a", "b"):
                for number in range(2):
                    path = tmp_path / root / part / name / f"{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.new("RGB", (6, 6)).save(path)
            (tmp_path / root / part / "a/0.png").write_bytes(b"")
    skip = {"broken": "skip", "validation": "none"}
    data = opened(tmp_path / "own", **skip, test_sets={"other": opened(tmp_path / "other", **skip)})
    data.list_broken(BrokenList(tmp_path))
    with pytest.warns(UserWarning, match="1 of 4 images are broken"):
        data.setup()
    names = [row[0].removeprefix(f"{tmp_path}/") for row in listed(tmp_path / LIST_FILE)[1:]]
    assert names == ["other/test/a/0.png", "own/test/a/0.png", "own/train/a/0.png"]


def test_a_list_that_cannot_be_written_does_not_hide_the_error(folder: Path) -> None:
    spoil(folder, 1)
    data = opened(folder, broken="skip", validation="none")
    data.list_broken(BrokenList(folder / "nowhere"))
    with pytest.warns(UserWarning, match=r"it is empty; all are to be listed in .*, which cannot be written: No such"):
        data.setup("fit")


# --- Classes with hardly an image


def test_classes_of_one_or_two_images_are_named_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, count in {"emu": 1, "fox": 2, "gnu": 3}.items():
        (folder / name).mkdir()
        for number in range(count):
            Image.new("RGB", (6, 6)).save(folder / name / f"{number}.png")
    data = opened(folder)
    data.setup("fit")
    assert capsys.readouterr().err.count("ImageFolder: classes with one or two images: emu (1), fox (2)\n") == 1


def test_doctor_warns_of_classes_of_one_or_two_images(
    folder: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "emu").mkdir()
    for number in range(2):
        Image.new("RGB", (6, 6)).save(folder / f"emu/{number}.png")
    (folder / "emu/1.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 18 images are broken"):
        assert run("doctor", *IMAGES, "--data.broken", "skip") == 0
    assert "WARNING classes  classes with one or two images: emu (1)\n" in capsys.readouterr().out


def test_no_class_is_named_where_each_has_more(capsys: pytest.CaptureFixture[str]) -> None:
    data = Digits()
    data.setup("fit")
    assert torch.bincount(data.labels).min() > 2
    assert "one or two" not in capsys.readouterr().err
