"""Images in folders and tables: what is read, and what is refused in one line."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from noisy_lightning.data import Cutout, ImageFolder, ImageTable, RandomResizedCrop, Symmetric
from noisy_lightning.data.sets.image_files import processors
from noisy_lightning.errors import InputError

GRAY = (0, 40, 80, 120, 160, 200)


def picture(path: Path, gray: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (9, 7), gray).save(path)


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., ImageTable]:
    """Return what writes a table beside six pictures, each of its own gray, and opens it."""
    for number, gray in enumerate(GRAY):
        picture(tmp_path / f"pictures/{number}.png", gray)

    def write(text: str, **arguments: Any) -> ImageTable:
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return ImageTable(tmp_path / "labels.csv", image_size=4, channels=1, **arguments)

    return write


def rows(*cells: str, header: str = "path,label") -> str:
    """Return a table of the pictures in their order, with these further cells."""
    return header + "\n" + "".join(f"pictures/{number}.png,{cell}\n" for number, cell in enumerate(cells))


GOOD = rows("cat", "dog", "cat", "dog", "cat", "dog")


def test_labels_and_pictures_stay_together(table: Callable[..., ImageTable]) -> None:
    data = table(GOOD, validation="none")
    data.setup("fit")
    assert list(data.class_names) == ["cat", "dog"]
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert data.train_images(torch.arange(6))[:, 0, 2, 2].tolist() == list(GRAY)
    assert data.true_labels.tolist() == [-1] * 6
    assert not data.is_clean.any()
    assert data.noise_summary().realised_rate is None
    with pytest.raises(InputError, match="no test images"):
        data.setup("test")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("3", "10", "3", "2", "10", "2"), ["2", "3", "10"]),
        (("3.0", "10.0", "3.0", "2.0", "10.0", "2.0"), ["2", "3", "10"]),
        (("b", "1", "a", "b", "1", "a"), ["1", "a", "b"]),
    ],
)
def test_classes_are_numbers_in_their_order_before_names(
    labels: tuple[str, ...], expected: list[str], table: Callable[..., ImageTable]
) -> None:
    assert list(table(rows(*labels)).class_names) == expected


def test_true_labels_splits_and_trust_are_understood(table: Callable[..., ImageTable]) -> None:
    text = rows(
        "a,a,train,1,x", "b,a,,0,x", "a,,train,,x", "b,b,val,,x", "a,b,test,,x", "b,,test,,x",
        header="path,label,true_label,split,trusted,remark",
    )  # fmt: skip
    data = table(text)
    data.setup()
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert data.true_labels.tolist() == [0, 0, -1, 1]
    assert data.is_trusted.tolist() == [True, False, False, False]
    assert (data.train_indices.tolist(), data.val_indices.tolist()) == ([0, 1, 2], [3])
    (loader,) = data.test_dataloader()
    assert torch.cat([batch.true_label for batch in loader]).tolist() == [1, 1]
    trusted = table(text, validation="trusted")
    trusted.setup("fit")
    assert (trusted.train_indices.tolist(), trusted.val_indices.tolist()) == ([1, 2], [0])


def test_groups_are_numbered_as_they_appear_and_an_empty_cell_is_none(table: Callable[..., ImageTable]) -> None:
    text = rows(
        "a,train,night 2", "b,train,", "a,test,elsewhere", "b,val,0", "a,train, night 2 ", "b,,0",
        header="path,label,split,group",
    )  # fmt: skip
    data = table(text)
    data.setup("fit")
    assert data.source.groups is not None
    assert data.source.groups.tolist() == [0, -1, 1, 0, 1]
    for without in (rows("a", "b"), rows("a,", "b, ", header="path,label,group")):
        data = table(without, validation="none")
        data.setup("fit")
        assert data.source.groups is None


def test_classes_that_are_named_may_differ_by_case_and_have_no_image(table: Callable[..., ImageTable]) -> None:
    classes = ["Cat", "cat", "fox"]
    data = table(rows("Cat,", "cat,fox", header="path,label,true_label"), classes=classes, validation="none")
    data.setup("fit")
    assert data.true_labels.tolist() == [-1, 2]


def test_the_byte_order_mark_of_spreadsheets_is_ignored(table: Callable[..., ImageTable]) -> None:
    assert table("\ufeff" + GOOD).num_samples == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where,label\na.png,1\n", "must name the columns path and label"),
        ("", "must name the columns path and label"),
        ("path,label\n", "lists no image to train on"),
        (rows("a", "b").replace("pictures/1", "../pictures/1"), r"line 3: the path must be relative .* without '\.\.'"),
        (rows("a", "b").replace("pictures/1", "/etc/1"), "line 3: the path must be relative"),
        (rows("a", "b").replace("pictures/1", "pictures/0"), "line 3: pictures/0.png is there twice, first in line 2"),
        (rows("a", "b").replace("pictures/1", "pictures/9"), "line 3: there is no file"),
        (rows("a", ""), "line 3: there is no label"),
        (rows("a", "nan"), "line 3: there is no label"),
        (rows("a,train", "b,tset", header="path,label,split"), "line 3: split must be train, val, test or empty"),
        (rows("a,1", "b,maybe", header="path,label,trusted"), "line 3: trusted must be"),
        (rows("a,1,b", "b,0,b", header="path,label,trusted,true_label"), "line 2: the label 'a' is trusted, but"),
        (rows("a,train", "b,train", "c,test", header="path,label,split"), "line 4: 'c' is no class of the training"),
        (rows("a", "b,b"), "line 3: there are not as many cells as columns"),
        (rows("a", "a"), "has one class"),
        (
            rows("Cat", "cat", "dog"),
            "labels.csv: the classes 'Cat' and 'cat' differ by case only: correct one, or name",
        ),
        (
            rows("cat,cat", "dog,dgo", header="path,label,true_label"),
            r"line 3: true_label 'dgo' is the label of no image; did you mean dog\? data\.classes names all classes",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused(text: str, message: str, table: Callable[..., ImageTable]) -> None:
    with pytest.raises(InputError, match=message) as error:
        table(text)
    assert "\n" not in str(error.value)


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"path,label\n\xff\xfe,\x00\n")
    with pytest.raises(InputError, match="it is no UTF-8 text"):
        ImageTable(tmp_path / "labels.csv")


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_links_do_not_lead_out_of_the_root(kind: str, table: Callable[..., ImageTable], tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name} outside"
    picture(outside / "1.png")
    if kind == "folder":
        (tmp_path / "away").symlink_to(outside)
        text = rows("a", "b").replace("pictures/1", "away/1")
    else:
        (tmp_path / "pictures/1.png").unlink()
        (tmp_path / "pictures/1.png").symlink_to(outside / "1.png")
        text = rows("a", "b")
    with pytest.raises(InputError, match=r"line 3: .*lead"):
        table(text)


# Folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("été", "b c"):
        for number in range(4):
            picture(tmp_path / f"images/{name}/deeper/{number}.png", 50 * (name == "été") + number)
    (tmp_path / "images/b c/notes.txt").write_text("no picture")
    picture(tmp_path / "images/.hidden/0.png")
    return tmp_path / "images"


def test_the_ending_of_a_name_may_be_in_capitals_as_cameras_write_it(folder: Path) -> None:
    picture(folder / "b c/DSC_1.PNG", 7)
    data = opened(folder, validation="none")
    data.setup("fit")
    assert data.train_names[0] == "b c/DSC_1.PNG"
    assert len(data.labels) == 9


def opened(root: Path, **arguments: Any) -> ImageFolder:
    return ImageFolder(root, **{"image_size": 4, "channels": 1, "val_fraction": 0.5, **arguments})


def test_a_folder_is_a_class(folder: Path) -> None:
    data = opened(folder, validation="none")
    data.setup("fit")
    assert list(data.class_names) == ["b c", "été"]
    assert data.train_images(torch.arange(8))[:, 0, 1, 1].tolist() == [0, 1, 2, 3, 50, 51, 52, 53]
    assert data.labels.tolist() == [0] * 4 + [1] * 4


def test_train_val_and_test_are_found(tmp_path: Path) -> None:
    for part, gray in {"train": 10, "val": 20, "test": 30}.items():
        for name in ("a", "b"):
            picture(tmp_path / part / name / "0.png", gray)
    data = opened(tmp_path)
    data.setup()
    assert data.train_images(data.train_indices)[:, 0, 0, 0].tolist() == [10, 10]
    assert data.train_images(data.val_indices)[:, 0, 0, 0].tolist() == [20, 20]
    (loader,) = data.test_dataloader()
    assert torch.cat([batch.true_label for batch in loader]).tolist() == [0, 1]
    other = opened(tmp_path, test_root=tmp_path / "val")
    assert other.num_samples == 2


def test_what_is_kept_for_validation_validates_whatever_the_fraction(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("a", "b"):
            picture(tmp_path / part / name / "0.png")
    data = opened(tmp_path, val_fraction=0)
    assert data.validates
    data.setup("fit")
    assert data.val_indices.tolist() == [2, 3]


def test_a_test_folder_among_the_classes_is_no_class(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b c", "été"):
        picture(folder / "held out" / name / "0.png")
    monkeypatch.chdir(folder.parent)
    for test_root in (folder / "held out", Path("images/held out")):
        assert list(opened(Path("images"), test_root=test_root).class_names) == ["b c", "été"]


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_part_is_no_link(part: str, tmp_path: Path) -> None:
    for name in ("train/a", "train/b", "other/a", "other/b"):
        picture(tmp_path / "root" / name / "0.png")
    (tmp_path / "root/other").rename(tmp_path / "other")
    if part == "train":
        (tmp_path / "root/train").rename(tmp_path / "moved")
        (tmp_path / "root/train").symlink_to(tmp_path / "moved")
    else:
        (tmp_path / "root" / part).symlink_to(tmp_path / "other")
    with pytest.raises(InputError, match=f"root/{part} is a link to a folder"):
        opened(tmp_path / "root")


@pytest.mark.parametrize("options", [{}, {"cache": "cache"}, {"cache_gib": 0, "workers": 1}], ids=str)
def test_an_image_that_is_too_large_is_named_or_left_out(options: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / "images" / name / "small.png")
    Image.new("L", (100, 50)).save(tmp_path / "images/b/large.png")
    arguments = {**options, "max_megapixels": 0.004, "validation": "none"}
    if "cache" in options:
        arguments["cache"] = tmp_path / "cache"
    message = r"large\.png cannot be read: it has 0\.005 million pixels, data\.max_megapixels allows 0\.004"

    def looked_at(**others: Any) -> ImageFolder:
        data = opened(tmp_path / "images", **{**arguments, **others})
        data.setup("fit")
        data.check_images()
        return data

    with pytest.raises(InputError, match=message):
        looked_at()
    with pytest.warns(UserWarning, match=f"1 of 3 images are broken and left out: .*{message}"):
        data = looked_at(broken="skip")
    assert data.source.usable().tolist() == [0, 2]
    assert data.train_names[1] == "b/large.png"
    assert looked_at(max_megapixels=0.005).source.usable().tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [0, -1.0, float("nan")])
def test_a_limit_that_no_image_keeps_is_refused(value: float, folder: Path) -> None:
    with pytest.raises(InputError, match=r"^data\.max_megapixels must be above 0, got "):
        opened(folder, max_megapixels=value)


def test_a_damaged_cache_is_named(folder: Path, tmp_path: Path) -> None:
    opened(folder, cache=tmp_path / "cache").setup("fit")
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"data\.cache: .* is damaged: .*; delete it"):
        opened(folder, cache=tmp_path / "cache").setup("fit")


def test_batches_are_decoded_on_demand_where_they_do_not_fit(folder: Path) -> None:
    kept, lazy = (opened(folder, cache_gib=gib, workers=w, batch_size=4) for gib, w in ((8, 0), (0, 1)))
    batches = []
    for data in (kept, lazy):
        data.setup("fit")
        batches.append([(batch.image, batch.index) for batch in data.train_dataloader()])
    assert not isinstance(lazy.source.images, torch.Tensor)
    for one, other in zip(*batches, strict=True):
        assert one[1].equal(other[1])
        torch.testing.assert_close(one[0], other[0])


def test_noise_is_drawn_on_labels_that_are_known_to_be_right(folder: Path) -> None:
    data = opened(folder, clean=True, noise=Symmetric(1.0))
    data.setup("fit")
    assert data.labels.tolist() == [1] * 4 + [0] * 4
    assert data.noise_summary().realised_rate == 1
    (folder / "été/deeper/2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="needs every sample's true label"):  # before any picture is read
        opened(folder, noise=Symmetric(0.5)).setup("fit")


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"half"], ids=["empty", "text", "truncated"])
def test_a_broken_picture_is_named_or_left_out(content: bytes, folder: Path) -> None:
    path = folder / "été/deeper/2.png"
    path.write_bytes(path.read_bytes()[:40] if content == b"half" else content)
    with pytest.raises(InputError, match=r"1 of 8 images are broken.*2\.png cannot be read"):
        opened(folder).setup("fit")
    data = opened(folder, broken="skip", validation="none")
    with pytest.warns(UserWarning, match=r"1 of 8 images are broken and left out.*2\.png"):
        data.setup("fit")
    assert data.train_indices.tolist() == [0, 1, 2, 3, 4, 5, 7], "the others keep their indices"
    assert len(data.label_table().given_labels) == 8


@pytest.mark.parametrize("cache_gib", [0, 1])
def test_where_every_picture_is_broken_leaving_them_out_is_refused(cache_gib: float, folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"half")
    data = opened(folder, broken="skip", validation="none", cache_gib=cache_gib, mean=[0.5], std=[0.5])
    with pytest.raises(InputError, match=r"^data\.root: 8 of 8 images are broken"):
        data.setup("fit")


def test_processes_decode_where_nothing_is_kept_as_many_as_asked_for_or_as_there_are_processors(folder: Path) -> None:
    assert [opened(folder, cache_gib=0, workers=workers).workers for workers in (0, 1)] == [processors(), 1]
    assert opened(folder).workers == 0


def test_a_broken_picture_that_is_decoded_late_is_named_when_its_turn_comes(folder: Path) -> None:
    (folder / "été/deeper/2.png").write_bytes(b"half")
    data = opened(folder, cache_gib=0, workers=1, validation="none", mean=[0.5], std=[0.5])
    data.setup("fit")
    with pytest.raises(InputError, match=r"^data\.root: .*été/deeper/2\.png cannot be read: [^\n]*$"):
        list(data.train_dataloader())
    with pytest.raises(InputError, match=r"1 of 8 images are broken.*2\.png"):
        data.check_images()
    data = opened(folder, cache_gib=0, workers=1, validation="none", broken="skip")
    with pytest.warns(UserWarning, match="1 of 8 images are broken"):
        data.setup("fit")
    assert sum(len(batch.index) for batch in data.train_dataloader()) == 7


def test_decoded_pictures_are_kept_until_a_file_changes(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for expected in (1, 1):
        opened(folder, cache=cache).setup("fit")
        assert len(list(cache.iterdir())) == expected
    picture(folder / "été/deeper/0.png", 99)
    data = opened(folder, cache=cache)
    data.setup("fit")
    assert len(list(cache.iterdir())) == 2
    assert data.train_images(torch.tensor([4]))[0, 0, 0, 0] == 99


def test_a_folder_does_not_take_the_decoded_pictures_of_another(tmp_path: Path) -> None:
    """Archives often give all files one time, and formats without compression one size."""
    shown = []
    for root, gray in ((tmp_path / "one", 10), (tmp_path / "two", 90)):
        for name in ("a", "b"):
            picture(root / name / "0.pgm", gray)
            os.utime(root / name / "0.pgm", (0, 0))
        data = opened(root, cache=tmp_path / "cache", validation="none")
        data.setup("fit")
        shown.append(data.train_images(torch.tensor([0]))[0, 0, 0, 0].item())
    assert shown == [10, 90]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "empty").mkdir(), "empty holds no image"),
        (lambda root: (root / "link").symlink_to(root / "b c"), "link"),
        (
            lambda root: [path.rename(root.parent / path.name) for path in root.iterdir()],
            "must hold a folder per class",
        ),
        (lambda root: (root / "b c").rename(root.parent / "gone"), "has one class"),
        (lambda root: root.rename(root.parent / "elsewhere"), "cannot read"),
    ],
    ids=["empty class", "link", "no class", "one class", "no folder"],
)
def test_a_folder_that_cannot_be_is_refused(spoil: Callable[[Path], object], message: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(InputError, match=message) as error:
        opened(folder)
    assert "\n" not in str(error.value)


def test_a_margin_to_crop_from_is_decoded_on_each_side(folder: Path) -> None:
    data = opened(folder, image_size=[4, 5], crop_margin=2, validation="none")
    data.setup("fit")
    assert data.train_images(torch.arange(2)).shape == (2, 1, 8, 9)
    assert next(iter(data.train_dataloader())).image.shape[1:] == (1, 4, 5)


@pytest.mark.parametrize("cache_gib", [8.0, 0.0], ids=["in memory", "by workers"])
def test_images_are_kept_larger_for_a_recipe_that_magnifies_parts_of_them(tmp_path: Path, cache_gib: float) -> None:
    for name in ("train/a", "train/b", "test/a", "test/b"):
        picture(tmp_path / name / "0.png", 99)
        picture(tmp_path / name / "1.png", 98)
    data = opened(tmp_path, image_size=[4, 6], validation="none", augmentation=RandomResizedCrop(), cache_gib=cache_gib)
    data.setup("fit")
    data.setup("test")
    assert data.train_images(torch.arange(2)).shape == (2, 1, 6, 9)
    assert data.test_images(torch.arange(1)).shape == (1, 1, 4, 6)
    for loader in (data.train_dataloader(), data.training_part(0, False), *data.test_dataloader()):
        assert next(iter(loader)).image.shape[1:] == (1, 4, 6)
    assert data.state_dict()["inputs"]["image_shape"] == [4, 6, 1]
    assert data.state_dict()["inputs"]["crop_margin"] == 0


def test_a_margin_does_not_go_with_a_recipe_that_crops_otherwise(folder: Path) -> None:
    with pytest.raises(InputError, match=r"data\.crop_margin must be 0 where a random resized crop"):
        opened(folder, crop_margin=2, strong_augmentation=[RandomResizedCrop(), Cutout()])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "image_size"),
        ({"image_size": [3, 4, 5]}, "image_size"),
        ({"channels": 2}, "channels"),
        ({"broken": "ignore"}, "broken"),
        ({"cache_gib": -1.0}, "cache_gib"),
        ({"crop_margin": -1}, "crop_margin"),
        ({"validation": "clean"}, "validation"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=f"data.{message}"):
        opened(folder, **arguments)
