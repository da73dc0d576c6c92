"""Folders that Hugging Face's datasets have been saved to: the same pixels as of files, and what is refused."""

import io
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from noisy_lightning.data import HuggingFaceFolder, ImageFolder, NoisyDataModule
from noisy_lightning.data.loading.decoding import decode
from noisy_lightning.errors import InputError
from tests.data.sets.training import fitted
from tests.heic import HEIC, forget_heic

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    datasets = pytest.importorskip("datasets")

Run = Callable[..., int]
COUNT = 12
NAMES = ["cat", "dog"]


@pytest.fixture(autouse=True)
def _offline_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have whatever would ask a hub fail."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection is made")

    monkeypatch.setattr(socket, "create_connection", refuse)
    datasets.disable_progress_bars()


def encoded(number: int, kind: str = "PNG") -> bytes:
    """Return a picture of its own gray and size, turned by its EXIF where it is a JPEG."""
    file = io.BytesIO()
    pixels = np.full((20 + number, 30, 3), 20 * number, np.uint8)
    pixels[:5] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(file, kind, **({"exif": exif} if kind == "JPEG" else {}))
    return file.getvalue()


def rows(count: int = COUNT, labels: Any = None, column: str = "image", **others: Any) -> Any:
    """Return a data set of pictures, PNG and JPEG by turns."""
    images = [
        {"bytes": encoded(number, ("PNG", "JPEG")[number % 2]), "path": f"{number}.img"} for number in range(count)
    ]
    given = [number // 2 % 2 for number in range(count)] if labels is None else labels
    kind = datasets.Value("string") if isinstance(given[0], str) else datasets.ClassLabel(names=NAMES)
    table = datasets.Dataset.from_dict({column: images, "label": given, **others})
    return table.cast_column(column, datasets.Image()).cast_column("label", kind)


def saved(root: Path, **splits: Any) -> Path:
    (datasets.DatasetDict(splits) if splits.keys() != {"only"} else splits["only"]).save_to_disk(str(root / "saved"))
    return root / "saved"


def opened(root: Path, **arguments: Any) -> HuggingFaceFolder:
    return HuggingFaceFolder(root, **{"image_size": 16, "validation": "none", **arguments})


def pixels_of(data: NoisyDataModule) -> torch.Tensor:
    data.setup("fit")
    return data.train_images(torch.arange(data.num_samples))


@pytest.mark.parametrize("gib", [0, 8])
def test_pixels_are_those_of_the_same_files_in_folders(gib: float, tmp_path: Path) -> None:
    for number in range(COUNT):
        path = tmp_path / "files" / NAMES[number // 2 % 2] / f"{number:02}.{('png', 'jpg')[number % 2]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number, ("PNG", "JPEG")[number % 2]))
    files = ImageFolder(tmp_path / "files", image_size=16, validation="none")
    data = opened(saved(tmp_path, train=rows()), cache_gib=gib, workers=1)
    wanted, found = pixels_of(files), pixels_of(data)
    order = [number for label in (0, 1) for number in range(COUNT) if number // 2 % 2 == label]
    assert found[order].equal(wanted)
    assert data.labels[order].equal(files.labels)
    assert data.class_names == NAMES
    assert data.in_memory == bool(gib)
    assert data.train_names is None


def test_splits_are_found_under_their_usual_names(tmp_path: Path) -> None:
    root = saved(tmp_path, train=rows(), validation=rows(4), testing=rows(6), unsupervised=rows(2))
    data = opened(root, validation="given")
    data.setup()
    assert data.num_samples == COUNT + 4
    assert data.val_indices.tolist() == [COUNT, COUNT + 1, COUNT + 2, COUNT + 3]
    assert data.test_source.labels.tolist() == [0, 0, 1, 1, 0, 0]
    assert torch.as_tensor(data.source.images)[COUNT:].equal(torch.as_tensor(data.source.images)[:4])


def test_a_data_set_without_splits_and_with_names_as_labels_is_trained_on(tmp_path: Path) -> None:
    labels = [("dog", "cat", "ape")[number % 3] for number in range(COUNT)]
    data = opened(saved(tmp_path, only=rows(labels=labels)))
    data.setup("fit")
    assert data.class_names == ["ape", "cat", "dog"]
    assert [data.class_names[label] for label in data.labels.tolist()] == labels
    assert not data.has_test_set


def test_true_labels_and_groups_are_read(tmp_path: Path) -> None:
    true = [-1, 1] * (COUNT // 2)
    root = saved(tmp_path, train=rows(true_label=true, patient=["a", None] * (COUNT // 2)))
    data = opened(root, columns={"group": "patient"})
    data.setup("fit")
    assert data.true_labels.tolist() == true
    assert data.source.groups is not None
    assert data.source.groups.tolist() == [0, -1] * (COUNT // 2)


def test_a_test_set_without_labels_is_none(tmp_path: Path) -> None:
    assert not opened(saved(tmp_path, train=rows(), test=rows(2, labels=[-1, -1]))).has_test_set


def test_only_the_images_that_are_asked_for_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(saved(tmp_path, train=rows()), cache_gib=0, workers=1, mean=[0.5] * 3, std=[0.5] * 3)
    data.setup("fit")
    read = []
    decoded = type(data.source.images).decoded  # type: ignore[attr-defined]

    def counted(self: Any, position: int) -> Any:
        read.append(position)
        return decoded(self, position)

    monkeypatch.setattr(type(data.source.images), "decoded", counted)
    data.train_images(torch.tensor([3, 1]))
    assert read == [3, 1]


def test_workers_and_a_cache_serve_the_same(tmp_path: Path) -> None:
    root = saved(tmp_path, train=rows(), test=rows(4))
    split = {"validation": "given", "val_fraction": 0.25}
    kept, late = opened(root, cache=tmp_path / "cache", **split), opened(root, cache_gib=0, workers=2, **split)
    found = []
    for name, data in {"kept": kept, "late": late}.items():
        (tmp_path / name).mkdir()
        torch.manual_seed(0)
        found.append(fitted(data, tmp_path / name))
    first, second = found
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-4)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    assert kept.source.checksum() == late.source.checksum()


@pytest.mark.parametrize("content", [b"", b"no image", encoded(3)[:40]], ids=["empty", "text", "torn"])
def test_a_broken_image_is_named_or_left_out(content: bytes, tmp_path: Path) -> None:
    table = rows(4).cast_column("image", datasets.Image(decode=False))
    images = [{"bytes": content, "path": "two.png"} if at == 2 else row["image"] for at, row in enumerate(table)]
    broken = datasets.Dataset.from_dict({"image": images, "label": [0, 1, 0, 1]})
    broken = broken.cast_column("image", datasets.Image()).cast_column("label", datasets.ClassLabel(names=NAMES))
    root = saved(tmp_path, train=broken)
    with pytest.raises(InputError, match=r"1 of 4 images are broken.*saved: train\[2\] \(two\.png\) cannot be read"):
        opened(root).setup("fit")
    data = opened(root, broken="skip")
    with pytest.warns(UserWarning, match="1 of 4 images are broken and left out"):
        data.setup("fit")
    assert data.source.usable().tolist() == [0, 1, 3]
    with pytest.raises(InputError, match=r"it has 0\.0006 million pixels, data\.max_megapixels allows 0\.0005"):
        opened(root, max_megapixels=0.0005).setup("fit")


@pytest.mark.parametrize("path", ["https://example.org/1.png", "../1.png", "/etc/hostname", None])
def test_a_row_that_only_names_a_file_elsewhere_is_refused(path: str | None, tmp_path: Path) -> None:
    """Older releases saved paths; the rows are made by hand, as the present one would look for the files."""
    root = saved(tmp_path, train=rows(2))
    data = opened(root)
    images = data.load_lazily(train=True).images
    images.dataset = [{"image": {"bytes": None, "path": path}}]  # type: ignore[attr-defined]
    message = "the row holds no image" if path is None else "its file lies outside of data.root"
    with pytest.raises(InputError, match=message):
        images[torch.tensor([0])]


def test_photographs_of_telephones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = opened(saved(tmp_path, train=rows(2)))
    images = data.load_lazily(train=True).images
    images.dataset = [{"image": {"bytes": HEIC, "path": "one.heic"}}]  # type: ignore[attr-defined]
    with monkeypatch.context() as without:
        forget_heic(without)
        with pytest.raises(InputError, match=r"\(one\.heic\) cannot be read: it is HEIC, which needs pip install"):
            images[torch.tensor([0])]
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    path = tmp_path / "one.heic"
    pillow_heif.from_pillow(Image.new("RGB", (16, 16), (200, 30, 60))).save(path)
    images.dataset[0]["image"]["bytes"] = path.read_bytes()  # type: ignore[attr-defined]
    assert images[torch.tensor([0])][0].numpy().tolist() == decode(path, data.picture_shape).tolist()


def test_a_row_that_names_a_file_in_the_folder_is_read(tmp_path: Path) -> None:
    root = saved(tmp_path, train=rows(2))
    (root / "one.png").write_bytes(encoded(1))
    images = opened(root).load_lazily(train=True).images
    wanted = images[torch.tensor([0])]
    (root / "one.png").write_bytes(encoded(0))
    images.dataset = [{"image": {"bytes": None, "path": "one.png"}}]  # type: ignore[attr-defined]
    assert images[torch.tensor([0])].equal(wanted)


def test_what_cannot_be_meant_is_named(tmp_path: Path) -> None:
    def refused(message: str, **splits: Any) -> None:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        with pytest.raises(InputError, match=message) as error:
            opened(saved(root, **splits))
        assert "\n" not in str(error.value)

    table = rows(4)
    refused("has no split train, but test, other", test=table, other=table)
    refused("has the splits 'dev' and 'validation', which are both val", train=table, dev=table, validation=table)
    refused("image could be in no column of the type Image", train=table.remove_columns("image"))
    twice = table.add_column("photo", [None] * 4).cast_column("photo", datasets.Image())
    refused("image could be in 'image' or 'photo': say which by data.columns", train=twice)
    named = table.rename_column("label", "fine").add_column("coarse", [0] * 4)
    refused(
        "label could be in 'fine' or 'coarse'", train=named.cast_column("coarse", datasets.ClassLabel(names=["a", "b"]))
    )
    refused(r"label must be in \[0, 2\), got -1 for image 1", train=rows(4, labels=[0, -1, 1, 0]))
    refused("train and validation are of other names or types", train=table, validation=twice)
    with pytest.raises(InputError, match="no folder"):
        opened(tmp_path / "nowhere")
    (tmp_path / "plain").mkdir()
    with pytest.raises(InputError, match=r"neither dataset_dict\.json nor state\.json; ImageFolder reads"):
        opened(tmp_path / "plain")
    with pytest.raises(InputError, match="there is no column 'foto'"):
        opened(saved(tmp_path / "again", train=table), columns={"image": "foto"})


def test_damaged_tables_are_refused_in_one_line(tmp_path: Path) -> None:
    root = saved(tmp_path, train=rows(4))
    (table,) = (root / "train").glob("*.arrow")
    table.write_bytes(table.read_bytes()[:100])
    with pytest.raises(InputError, match="saved is damaged"):
        opened(root)
    (root / "dataset_dict.json").write_text("{")
    with pytest.raises(InputError, match="saved is damaged"):
        opened(root)


def test_a_saved_data_set_goes_through_the_commands(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path, train=rows(), validation=rows(4), test=rows(6))
    options = (
        *("--data", "HuggingFaceFolder", "--data.root", "saved", "--data.image_size", "16"),
        *("--model.backbone", "tests.networks.Plain", "--recorder.pictures", "false"),
        *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.devices", "1"),
    )
    assert run("doctor", *options) == 0
    assert "12 images to train on, 4 to validate on" in capsys.readouterr().out
    assert run("fit", *options) == 0
    assert run("test", "runs/default/0") == 0
    assert run("list", "data") == 0
    assert "HuggingFaceFolder" in capsys.readouterr().out
