"""Clothing1M, from a tiny tree in its layouts."""

import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

from noisy_lightning.data import Clothing1M
from noisy_lightning.errors import InputError

NOISY = [(f"images/0/{number}.jpg", number % 14) for number in range(28)]
VAL = [(f"images/1/{number}.jpg", number % 14) for number in range(14)]
TEST = [(f"images/2/{number}.jpg", 13 - number % 14) for number in range(14)]
CLEAN_TRAIN = [("images/0/3.jpg", 5), ("images/0/4.jpg", 4), ("images/3/0.jpg", 1)]  # two of them are noisy ones, too


def lines(rows: list[tuple[str, int]]) -> str:
    return "".join(f"{path} {label}\n" for path, label in rows)


def keys(rows: list[tuple[str, int]]) -> str:
    return "".join(f"{path}\n" for path, _ in rows)


def write_images(root: Path) -> None:
    for path, label in (*NOISY, *VAL, *TEST):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 30), (10 * label, 0, 255)).save(root / path, quality=95)


@pytest.fixture
def joined(tmp_path: Path) -> Path:
    """Return a tree with a path and a label per line."""
    write_images(tmp_path)
    (tmp_path / "annotations").mkdir()
    for name, rows in {"noisy_train": NOISY, "clean_val": VAL, "clean_test": TEST}.items():
        (tmp_path / f"annotations/{name}.txt").write_text(lines(rows))
    return tmp_path


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Return a tree as it was published."""
    write_images(tmp_path)
    (tmp_path / "noisy_label_kv.txt").write_text(lines([*NOISY[::-1], ("images/9/0.jpg", 3)]))
    (tmp_path / "clean_label_kv.txt").write_text(lines([*TEST, *CLEAN_TRAIN, *VAL]))
    (tmp_path / "noisy_train_key_list.txt").write_text(keys(NOISY))
    (tmp_path / "clean_val_key_list.txt").write_text(keys(VAL))
    (tmp_path / "clean_test_key_list.txt").write_text(keys(TEST))
    return tmp_path


def loaded(root: Path, **arguments: object) -> Clothing1M:
    data = Clothing1M(root, image_size=16, batch_size=4, **arguments)
    data.setup()
    return data


def test_joined_lists_are_read(joined: Path) -> None:
    data = loaded(joined, validation="none")
    assert (data.num_samples, data.num_classes, data.in_channels) == (28, 14, 3)
    assert data.labels.tolist() == [label for _, label in NOISY]
    assert data.true_labels.unique().tolist() == [-1]
    assert len(data.train_indices) == 28
    pixels = data.train_images(torch.arange(28))[:, 0, 8, 8]
    assert (pixels - 10 * data.labels).abs().max() <= 3, "each image has its own label"
    (loader,) = data.test_dataloader()
    assert torch.cat([batch.true_label for batch in loader]).tolist() == [label for _, label in TEST]


def test_published_lists_tell_some_true_labels(published: Path) -> None:
    data = loaded(published, validation="none")
    assert data.labels.tolist() == [label for _, label in NOISY], "in the order of the key list"
    known = {3: 5, 4: 4}
    assert data.true_labels.tolist() == [known.get(index, -1) for index in range(28)]
    assert data.noise_summary().realised_rate == 0.5, "of the two whose true label is known one is wrong"
    trusted = loaded(published, validation="trusted").noise_summary()
    assert trusted.realised_rate == 0.5, "clean images that were added say nothing of the others"


@pytest.mark.parametrize("layout", ["joined", "published"])
def test_the_clean_validation_set_is_trusted(layout: str, request: pytest.FixtureRequest) -> None:
    data = loaded(request.getfixturevalue(layout), validation="trusted")
    assert data.num_samples == 28 + 14
    assert data.train_indices.tolist() == list(range(28))
    assert data.val_indices.tolist() == list(range(28, 42))
    if layout == "joined":
        assert data.noise_summary().realised_rate is None
    assert data.augmentation.mean == [0.6959, 0.6537, 0.6371]
    assert data.labels[28:].tolist() == data.true_labels[28:].tolist() == [label for _, label in VAL]


def test_images_may_lie_in_the_root_itself(published: Path) -> None:
    for folder in (published / "images").iterdir():
        folder.rename(published / folder.name)
    (published / "images").rmdir()
    data = loaded(published, validation="none")
    assert (data.train_images(torch.arange(28))[:, 0, 8, 8] - 10 * data.labels).abs().max() <= 3


def test_a_line_without_a_label_is_left_out(joined: Path) -> None:
    path = joined / "annotations/noisy_train.txt"
    path.write_text(path.read_text().replace("images/0/5.jpg 5\n", "\nimages/0/5.jpg\n  \n"))
    with pytest.warns(UserWarning, match=r"1 lines are not a path with a label and are left out: images/0/5\.jpg"):
        data = loaded(joined, validation="none")
    assert data.num_samples == 27
    assert 5 in data.labels, "of another image"


def test_a_path_without_a_label_is_left_out(published: Path) -> None:
    path = published / "noisy_train_key_list.txt"
    path.write_text("images/7/1.jpg\n" + path.read_text())
    with pytest.warns(UserWarning, match=r"1 paths have no label and are left out: images/7/1\.jpg"):
        assert loaded(published, validation="none").num_samples == 28


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/0/1.jpg 14", "has the label 14"),
        ("images/0/1.jpg -1", "has the label -1"),
        ("../1.jpg 3", "leads out of"),
        ("/etc/passwd 3", "leads out of"),
    ],
)
def test_what_cannot_be_is_refused(line: str, message: str, joined: Path) -> None:
    (joined / "annotations/noisy_train.txt").write_text(line)
    with pytest.raises(InputError, match=message):
        Clothing1M(joined)


def test_missing_lists_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"noisy_label_kv\.txt"):
        Clothing1M(tmp_path)


def test_a_sound_tree_warns_of_nothing(published: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded(published, validation="trusted")


def test_the_published_protocol_crops_and_balances(joined: Path) -> None:
    path = joined / "annotations/noisy_train.txt"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "/13.jpg" not in line))
    data = loaded(joined, validation="trusted", crop_margin=2, horizontal_flip=True, sampling="undersample")
    assert data.source.images.shape[1:] == (20, 20, 3)
    batches = list(data.train_dataloader())
    assert batches[0].image.shape == (4, 3, 16, 16)
    assert torch.cat([batch.label for batch in batches]).bincount().tolist() == [1] * 14
    with pytest.raises(InputError, match="crop_margin"):
        loaded(joined, crop_margin=2, crop_padding=2)
