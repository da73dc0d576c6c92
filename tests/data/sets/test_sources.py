"""The published layouts, on tiny files written here."""

import gzip
import hashlib
import pickle
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import datasets

from noisy_lightning.data.sets import sources
from noisy_lightning.errors import InputError


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write CIFAR-10's files with four images each and tell torchvision their checksums."""
    folder = tmp_path / datasets.CIFAR10.base_folder
    folder.mkdir()
    random = np.random.default_rng(0)
    for listed in ("train_list", "test_list"):
        files = []
        for name, _ in getattr(datasets.CIFAR10, listed):
            content = {"data": random.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [3, 1, 4, 1]}
            (folder / name).write_bytes(pickle.dumps(content))
            files.append([name, _md5(folder / name)])
        monkeypatch.setattr(datasets.CIFAR10, listed, files)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [*"abcdefghij"]}))
    meta = datasets.CIFAR10.meta | {"md5": _md5(folder / "batches.meta")}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return tmp_path


@pytest.fixture
def cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write CIFAR-100's files with four images each and tell torchvision their checksums."""
    folder = tmp_path / datasets.CIFAR100.base_folder
    folder.mkdir()
    random = np.random.default_rng(0)
    for listed in ("train_list", "test_list"):
        ((name, _),) = getattr(datasets.CIFAR100, listed)
        pixels = random.integers(0, 256, (4, 3072), dtype=np.uint8)
        # As published: apple in fruit, aquarium_fish in fish, baby in people, wolf in large_carnivores.
        content = {"data": pixels, "fine_labels": [0, 1, 2, 97], "coarse_labels": [4, 1, 14, 8]}
        (folder / name).write_bytes(pickle.dumps(content))
        monkeypatch.setattr(datasets.CIFAR100, listed, [[name, _md5(folder / name)]])
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["apple"]}))
    monkeypatch.setattr(datasets.CIFAR100, "meta", datasets.CIFAR100.meta | {"md5": _md5(folder / "meta")})
    return tmp_path


@pytest.fixture
def mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write MNIST's files with three images each and declare their checksums."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    pixels = np.arange(3 * 28 * 28, dtype=np.uint8).tobytes()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 3, 28, 28) + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 3) + bytes([7, 2, 1]))
    monkeypatch.setattr(sources, "MNIST_FILES", {file: _md5(tmp_path / file) for file in sources.MNIST_FILES})
    return tmp_path


def test_cifar10_is_read_in_its_order(cifar10: Path) -> None:
    sources.fetch_cifar10(cifar10, download=False)
    train, test = (sources.load_cifar10(cifar10, part) for part in (True, False))
    assert train.images.shape == (20, 32, 32, 3)
    assert torch.as_tensor(train.images).dtype == torch.uint8
    assert train.labels.tolist() == [3, 1, 4, 1] * 5
    first = pickle.loads((cifar10 / datasets.CIFAR10.base_folder / "data_batch_1").read_bytes())["data"][0]
    assert torch.as_tensor(train.images)[0].permute(2, 0, 1).flatten().tolist() == first.tolist()
    assert len(test.labels) == 4
    assert train.checksum() != test.checksum()


def test_cifar100_is_read_in_its_order(cifar100: Path) -> None:
    sources.fetch_cifar100(cifar100, download=False)
    for train, name in ((True, "train"), (False, "test")):
        content = pickle.loads((cifar100 / datasets.CIFAR100.base_folder / name).read_bytes())
        fine, coarse = (sources.load_cifar100(cifar100, train, coarse) for coarse in (False, True))
        assert torch.as_tensor(fine.images).dtype == torch.uint8
        assert torch.as_tensor(fine.images).permute(0, 3, 1, 2).flatten(1).tolist() == content["data"].tolist()
        assert torch.as_tensor(fine.images).equal(torch.as_tensor(coarse.images))
        assert fine.labels.tolist() == content["fine_labels"]
        assert coarse.labels.tolist() == content["coarse_labels"]
        assert fine.labels.dtype == coarse.labels.dtype == torch.int64


def test_cifar100_has_its_published_checksums(cifar100: Path) -> None:
    damaged = cifar100 / datasets.CIFAR100.base_folder / "train"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"CIFAR-100 in .* is damaged: cifar-100-python/train should have the MD5"):
        sources.fetch_cifar100(cifar100, download=True)
    damaged.unlink()
    message = r"data\.root: CIFAR-100 is not in .*cifar-100-python.tar.gz.*train \(MD5 \w{32}\)$"
    with pytest.raises(InputError, match=message):
        sources.fetch_cifar100(cifar100, download=False)


def test_mnist_is_read_in_its_order(mnist: Path) -> None:
    sources.fetch_mnist(mnist, download=False)
    train = sources.load_mnist(mnist, True)
    assert train.images.shape == (3, 28, 28, 1)
    assert train.labels.tolist() == [7, 2, 1]
    assert torch.as_tensor(train.images).flatten()[:5].tolist() == [0, 1, 2, 3, 4]


def test_digits_come_in_writers_order() -> None:
    train, test = sources.load_digits8x8(True), sources.load_digits8x8(False)
    assert (len(train.labels), len(test.labels)) == (1437, 360)
    assert train.images.shape == (1437, 8, 8, 1)
    assert torch.as_tensor(train.images).max() == 255
    assert train.labels.bincount(minlength=10).min() > 130


def test_a_truncated_file_is_named_and_left_alone(cifar10: Path) -> None:
    damaged = cifar10 / datasets.CIFAR10.base_folder / "data_batch_3"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    before = damaged.read_bytes()
    with pytest.raises(InputError, match="data_batch_3 should have the MD5"):
        sources.fetch_cifar10(cifar10, download=True)
    assert damaged.read_bytes() == before


def test_a_truncated_mnist_file_is_named(mnist: Path) -> None:
    file = mnist / "MNIST/raw/t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match="t10k-images-idx3-ubyte should have the MD5"):
        sources.fetch_mnist(mnist, download=True)


def test_a_missing_file_is_named_with_checksum_and_folder(cifar10: Path) -> None:
    (cifar10 / datasets.CIFAR10.base_folder / "test_batch").unlink()
    with pytest.raises(InputError, match=r"is not in .*incomplete.*cifar-10-python.tar.gz.*test_batch \(MD5 \w{32}\)$"):
        sources.fetch_cifar10(cifar10, download=True)


def test_without_a_network_the_error_says_what_to_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(self: object, root: Path, download: bool) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(datasets.CIFAR10, "__init__", offline)
    with pytest.raises(InputError, match=r"the download failed: .*no route to host.*data_batch_1 .*batches.meta"):
        sources.fetch_cifar10(tmp_path, download=True)
    with pytest.raises(InputError, match=r"downloading is off"):
        sources.fetch_cifar10(tmp_path, download=False)


def test_archives_beside_the_files_do_no_harm(mnist: Path) -> None:
    (mnist / "MNIST/raw/train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"x"))
    sources.fetch_mnist(mnist, download=False)


def test_images_and_labels_both_decide_on_the_checksum() -> None:
    images, labels = torch.zeros(2, 4, 4, 1, dtype=torch.uint8), torch.tensor([0, 1])
    whole = sources.Source(images, labels)
    assert whole.checksum() == sources.Source(images.clone(), labels.clone()).checksum()
    assert whole.checksum() != sources.Source(images, labels.flip(0)).checksum()
    assert whole.checksum() != sources.Source(images + 1, labels).checksum()
    assert whole._replace(identity="files").checksum() == "files"
