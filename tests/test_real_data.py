"""The published CIFAR-10 and MNIST, byte for byte, where they lie beside the repository."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from noisy_lightning.data import CIFAR10, MNIST, NoisyDataModule, OpenSet, Symmetric
from noisy_lightning.data.labels import realised_rate
from noisy_lightning.data.sets.sources import cifar10_files, load_mnist
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import noise_auroc
from noisy_lightning.selectors import CLIPCleaner, NearestNeighbours, Prototypes, Selector, Task
from tests.conftest import SHARED_DATA, SMALL
from tests.processes import ROOT
from tests.selectors.toys import MadeUp

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="there is no ../shared/data with the real data sets"),
]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return a folder with the real files; those that are there already are left alone."""
    folder = ROOT / ".cache" / "data"
    subprocess.run([sys.executable, SHARED_DATA / "unpack.py", "--root", folder], check=True)
    return folder


def _load(kind: type[NoisyDataModule], root: Path) -> NoisyDataModule:
    data = kind(root, noise=Symmetric(0.4), download=False)
    data.prepare_data()
    data.setup()
    return data


def test_cifar10_has_its_published_sizes_and_balance(root: Path) -> None:
    data = _load(CIFAR10, root)
    assert data.source.images.shape == (50_000, 32, 32, 3)
    assert data.true_labels.bincount().tolist() == [5_000] * 10
    test = data.load(train=False)
    assert test.images.shape == (10_000, 32, 32, 3)
    assert test.labels.bincount().tolist() == [1_000] * 10
    assert data.num_samples == 50_000
    assert list(data.class_names) == datasets.CIFAR10(root).classes


def test_mnist_has_its_published_sizes_and_balance(root: Path) -> None:
    data = _load(MNIST, root)
    assert data.source.images.shape == (60_000, 28, 28, 1)
    # The counts of LeCun's table.
    assert data.true_labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = data.load(train=False)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.num_samples == 60_000


def test_the_constants_that_normalize_are_those_of_the_images(root: Path) -> None:
    """The deviations of CIFAR-10 are means of single images', as the field uses them."""
    for kind in (CIFAR10, MNIST):
        data = _load(kind, root)
        pixels = torch.as_tensor(data.source.images).float() / 255
        torch.testing.assert_close(pixels.mean((0, 1, 2)), torch.tensor(data.default_mean), atol=1e-3, rtol=0)
        within, over = pixels.std((1, 2)).mean(0), pixels.std((0, 1, 2))
        deviation = within if kind is CIFAR10 else over
        torch.testing.assert_close(deviation, torch.tensor(data.default_std), atol=2e-3, rtol=0)


@pytest.mark.parametrize("train", [True, False], ids=["train", "test"])
def test_every_pixel_is_that_of_torchvision(train: bool, root: Path) -> None:
    published, source = datasets.CIFAR10(root, train=train), _load(CIFAR10, root).load(train)
    for index in np.random.default_rng(0).choice(len(published), 20, replace=False):
        picture, label = published[index]
        np.testing.assert_array_equal(source.images[index].numpy(), np.asarray(picture))
        assert source.labels[index] == label


def test_what_is_trained_on_is_the_picture_normalized(root: Path) -> None:
    data = CIFAR10(root, noise=Symmetric(0.4), crop_padding=0, horizontal_flip=False, batch_size=50_000, val_fraction=0)
    data.setup()
    (batch,) = list(data.train_dataloader())
    published = datasets.CIFAR10(root)
    mean, std = (np.array(values)[:, None, None] for values in (data.default_mean, data.default_std))
    for place in np.random.default_rng(1).choice(50_000, 20, replace=False):
        index = int(batch.index[place])
        picture, label = published[index]
        pixels = np.asarray(picture).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(batch.image[place].numpy(), (pixels - mean) / std, atol=1e-5)
        assert batch.true_label[place] == label
        assert batch.label[place] == data.labels[index]


@pytest.mark.parametrize("kind", [CIFAR10, MNIST])
def test_the_noise_comes_to_what_was_asked_for(kind: type[NoisyDataModule], root: Path) -> None:
    data = _load(kind, root)
    count = len(data.labels)
    sigma = math.sqrt(0.4 * 0.6 / count)
    rate = realised_rate(data.true_labels, data.labels)
    assert rate is not None
    assert abs(rate - 0.4) < 5 * sigma
    assert abs((data.labels != data.true_labels).double().mean().item() - 0.4) < 5 * sigma
    # Each of the nine others gets its share of each class.
    moved = torch.zeros(10, 10).index_put((data.true_labels, data.labels), torch.ones(count), accumulate=True)
    per_class = data.true_labels.bincount().unsqueeze(1)
    share = moved / per_class
    wrong = share[~torch.eye(10, dtype=torch.bool)].view(10, 9)
    assert ((wrong - 0.4 / 9).abs() < 5 * (0.4 / 9 * (1 - 0.4 / 9) / per_class).sqrt()).all()


def test_images_of_mnist_are_put_into_cifar10(root: Path) -> None:
    data = CIFAR10(root, noise=OpenSet(0.4, MNIST(root, download=False)), download=False)
    data.prepare_data()
    data.setup("fit")
    summary = data.noise_summary()
    assert (summary.num_foreign, summary.realised_rate) == (20_000, 0.4)
    assert torch.equal(data.is_foreign, data.true_labels == -2)
    per_class = data.labels[data.is_foreign].bincount(minlength=10)
    assert bool(((per_class - 2_000).abs() < 5 * (5_000 * 0.24) ** 0.5).all())
    # Handwriting is gray and mostly black, photographs are neither.
    images = data.train_images(torch.arange(50_000))
    gray = (images[:, 0] == images[:, 2]).flatten(1).all(1)
    assert gray[data.is_foreign].all()
    assert gray[~data.is_foreign].double().mean() < 0.05


def test_an_epoch_of_mnist_teaches_digits_though_half_of_the_labels_are_wrong(
    root: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    options = (
        *("--data.root", str(root), "--data.download", "false", "--trainer.precision", "32-true"),
        *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"),
    )
    assert run("fit", "--config", str(ROOT / "configs/sce_mnist.yaml"), *options) == 0
    assert run("test", "runs/sce_mnist/0", "last") == 0
    result = json.loads((tmp_path / "runs/sce_mnist/0/result.json").read_text())
    assert result["noise"]["realised_rate"] == pytest.approx(0.5, abs=0.011)  # 5 sigma
    assert result["test"]["last"]["test/acc"] > 0.9


def test_labels_of_people_train_from_their_configuration(root: Path, run: Callable[..., int], tmp_path: Path) -> None:
    options = (
        *("--config", str(ROOT / "configs/ce_cifar10n.yaml"), "--data.root", str(root), "--data.download", "false"),
        *("--data.noise.path", str(SHARED_DATA / "labels/CIFAR-10_human.pt"), "--model.backbone", "SmallCNN"),
        *("--trainer.precision", "32-true", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"),
    )
    assert run("doctor", *options) == 0
    assert run("fit", *options) == 0
    assert run("test", "runs/ce_cifar10n/0", "last") == 0
    result = json.loads((tmp_path / "runs/ce_cifar10n/0/result.json").read_text())
    assert result["noise"]["kind"] == "LabelFile"
    assert result["noise"]["realised_rate"] == 0.40208
    assert result["test"]["last"]["test/acc"] > 0.3


def test_what_was_learned_on_mnist_helps_to_read_other_digits(
    root: Path, run: Callable[..., int], tmp_path: Path
) -> None:
    pretrain = (
        *("fit", "--data", "MNIST", "--data.root", str(root), "--data.download", "false", "--model.backbone", "Timm"),
        *("--model.backbone.name", "resnet10t", "--model.backbone.image_size", "32", "--model.optimizer", "SGD"),
        *("--model.optimizer.lr", "0.05", "--model.optimizer.momentum", "0.9", "--trainer.max_epochs", "1"),
        *("--trainer.limit_train_batches", "150", "--trainer.accelerator", "cpu"),
    )
    assert run(*pretrain, "--run.experiment", "transfer", "--run.version", "mnist") == 0
    config = ("fit", "--config", str(ROOT / "configs/transfer_digits.yaml"), "--trainer.max_epochs", "5")
    scratch = ("--model.backbone.weights", "null", "--model.freeze_body_epochs", "0", "--model.body_lr_factor", "1")
    means: list[float] = []
    for start, options in {"mnist": (), "scratch": scratch}.items():
        accuracies: list[float] = []
        for seed in "012":
            version = f"{start}{seed}"
            seeds = ("--seed_everything", seed, "--data.seed", seed)
            assert run(*config, *options, *seeds, "--trainer.accelerator", "cpu", "--run.version", version) == 0
            assert run("test", f"runs/transfer_digits/{version}", "last") == 0
            result = json.loads((tmp_path / f"runs/transfer_digits/{version}/result.json").read_text())
            accuracies.append(result["test"]["last"]["test/acc"])
        means.append(float(np.mean(accuracies)))
    assert means[0] > means[1] + 0.02


def test_a_truncated_file_is_refused_with_its_checksum(
    root: Path, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, name = tmp_path / "data", "cifar-10-batches-py/data_batch_3"
    shutil.copytree(root / "cifar-10-batches-py", copy / "cifar-10-batches-py", copy_function=os.symlink)
    content = (root / name).read_bytes()[:-1]
    (copy / name).unlink()
    (copy / name).write_bytes(content)
    for download in (True, False):
        with pytest.raises(InputError, match=f"{name}.*{cifar10_files()[name]}"):
            CIFAR10(copy, download=download).prepare_data()
    assert run("fit", *SMALL, "--data", "CIFAR10", "--data.root", str(copy)) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert cifar10_files()[name] in error
    assert name in error
    assert (copy / name).read_bytes() == content
    assert not list(tmp_path.glob("runs/*/*"))


def test_planted_wrong_labels_are_the_most_suspicious(root: Path, run: Callable[..., int], tmp_path: Path) -> None:
    """5,000 pictures of MNIST as files in a folder per class, 100 of them in the wrong one."""
    source = load_mnist(root, train=True)
    for number in range(5_000):
        label, planted = int(source.labels[number]), number % 50 == 0
        path = tmp_path / "images/train" / str((label + 1 + number // 50 % 9) % 10 if planted else label)
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(source.images[number, :, :, 0].numpy()).save(  # type: ignore[index]
            path / f"{'planted' if planted else 'right'}_{number}.png"
        )
    data = ("--data", "ImageFolder", "--data.root", str(tmp_path / "images"), "--data.image_size", "28")
    model: tuple[str, ...] = (
        "--model.backbone",
        "SmallCNN",
        "--model.optimizer",
        "SGD",
        "--model.optimizer.lr",
        "0.05",
    )
    model = (*model, "--model.lr_scheduler", "CosineAnnealingLR", "--model.lr_scheduler.T_max", "0")
    trainer = ("--trainer.max_epochs", "10", "--trainer.accelerator", "cpu", "--trainer.devices", "1")
    command = ("clean", *data, "--data.channels", "1", *model, "--model.optimizer.momentum", "0.9", *trainer)
    assert run(*command, "--selector", "NoisyCrossValidation", "--selector.folds", "5") == 0
    with (tmp_path / "runs/default/0/selection.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: -float(row["score"]))
    found = sum("planted" in row["path"] for row in rows[:100])
    print(f"{found} of the 100 most suspicious labels are planted ones")
    assert found >= 85


@pytest.mark.parametrize(
    ("selector", "f1", "auroc"),
    [(NearestNeighbours(), 0.94, 0.98), (Prototypes(), 0.93, 0.97), (CLIPCleaner(), 0.91, 0.98)],
)
def test_wrong_labels_of_handwriting_are_found_by_its_pixels(
    selector: Selector, f1: float, auroc: float, root: Path
) -> None:
    """The first 10,000 images of MNIST, 40 % of labels moved to another class: no network, no training run."""
    data = _load(MNIST, root)
    given, true = data.labels[:10_000].numpy(), data.true_labels[:10_000].numpy()
    pixels = data.source.images[:10_000].numpy().reshape(10_000, 1, -1)  # type: ignore[index]
    judgment = selector.select(Task(given, np.ones(10_000, bool), 10, 0, features=pixels), MadeUp())
    wrong, found = given != true, ~judgment.select
    assert 2 * (wrong & found).sum() / (wrong.sum() + found.sum()) >= f1
    measured = noise_auroc(judgment.score, wrong)
    assert measured is not None
    assert measured >= auroc
    assert judgment.noise_rate == pytest.approx(wrong.mean(), abs=0.03)
