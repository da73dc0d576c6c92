"""Foreign images under labels that stay: counted, seeded, known as noisy, written down and read back."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from noisy_lightning.data import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    ImageFolder,
    LabelFile,
    NoNoise,
    OpenSet,
    RandomResizedCrop,
    Symmetric,
)
from noisy_lightning.data.adapting import reshaped
from noisy_lightning.data.labels import label_hash
from noisy_lightning.data.manifest import read_manifest, write_manifest
from noisy_lightning.data.noise.foreign import take_images
from noisy_lightning.data.sets.cifar100_classes import CIFAR10_ALIKE, CLASS_NAMES
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import EpochRecord, measure
from noisy_lightning.runs.records import load, write_epoch
from tests.conftest import SMALL
from tests.fabricated import COUNT, fabricate


def digits(noise: Any = None, **arguments: Any) -> Digits:
    data = Digits(noise=noise or OpenSet(0.4, Digits()), **arguments)
    data.prepare_data()
    data.setup()
    return data


def index_of(data: Digits) -> Tensor:
    index = data.label_table().foreign_index
    assert index is not None
    return index


@pytest.mark.parametrize("crops", [{"crop_margin": 2}, {"augmentation": RandomResizedCrop()}])
def test_foreign_images_are_as_large_as_those_that_are_kept_to_crop_from(crops: dict[str, Any], tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.new("L", (12, 12), number).save(tmp_path / name / f"{number}.png")
    noise = OpenSet(0.4, Digits())
    data = ImageFolder(tmp_path, image_size=8, channels=1, clean=True, noise=noise, val_fraction=0, **crops)
    data.setup("fit")
    assert data.is_foreign.sum() == 8
    assert data.train_images(torch.arange(20)).shape == (20, 1, 12, 12)
    assert next(iter(data.train_dataloader())).image.shape == (20, 1, 8, 8)


# --- What is drawn


@pytest.mark.parametrize("rate", [0.0001, 0.29, 0.4, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_exactly_a_share_of_the_images_is_exchanged_for_different_ones(rate: float, seed: int) -> None:
    noise = OpenSet(rate, Digits())
    foreign = noise.foreign_images(1437, (8, 8, 1), torch.Generator().manual_seed(seed))
    assert foreign is not None
    taken = foreign.index[foreign.index >= 0]
    assert len(taken) == len(foreign.images) == round(rate * 1437)
    assert len(taken.unique()) == len(taken)
    assert torch.equal(foreign.images, torch.as_tensor(Digits().load(True).images)[taken])


def test_every_place_and_every_image_has_the_same_chance() -> None:
    noise, rounds, rate = OpenSet(0.25, Digits()), 400, 0.25
    places, images = torch.zeros(1437), torch.zeros(1437)
    for seed in range(rounds):
        foreign = noise.foreign_images(1437, (8, 8, 1), torch.Generator().manual_seed(seed))
        assert foreign is not None
        places += foreign.index >= 0
        images[foreign.index[foreign.index >= 0]] += 1
    bound = 6 * (rate * (1 - rate) / rounds) ** 0.5
    for hits in (places, images):
        assert bool(((hits / rounds - rate).abs() < bound).all())


def test_the_images_of_a_seed_never_change() -> None:
    """A change of this digest breaks every published seed: old runs could no longer be repeated."""
    data = digits(seed=42)
    digest = hashlib.sha256(index_of(data).numpy().astype("<i8").tobytes()).hexdigest()
    assert digest == "b9dc6914aba39f46c35d9c43ada86d1dd758ba1d49c9a61b65054d6dc7823fbd"


def test_the_seed_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = digits()
    torch.manual_seed(2)
    again, other, split = digits(), digits(seed=1), digits(val_fraction=0.3)
    assert torch.equal(index_of(first), index_of(again))
    assert not torch.equal(index_of(first), index_of(other))
    assert first.noise_hash == again.noise_hash == split.noise_hash != other.noise_hash


# --- What a data set makes of it


def test_labels_stay_and_the_mask_says_which_images_do_not() -> None:
    clean, data = digits(NoNoise()), digits()
    assert torch.equal(data.labels, clean.labels)
    assert int(data.is_foreign.sum()) == round(0.4 * 1437)
    assert not clean.is_foreign.any()
    assert torch.equal(data.is_clean, ~data.is_foreign)
    assert data.true_labels[data.is_foreign].unique().tolist() == [-2]
    assert torch.equal(data.true_labels[~data.is_foreign], clean.true_labels[~data.is_foreign])
    everything = torch.arange(1437)
    own, shown = clean.train_images(everything), data.train_images(everything)
    assert torch.equal(shown[~data.is_foreign], own[~data.is_foreign])
    assert torch.equal(shown[data.is_foreign], own[index_of(data)[data.is_foreign]])


def test_foreign_images_are_trained_on_validated_on_and_not_tested_on() -> None:
    data = digits(mean=[0.0], std=[1.0])
    for loader in (data.train_dataloader(), *data.val_dataloader()):
        for batch in loader:
            torch.testing.assert_close(batch.image * 255, data.train_images(batch.index).float(), atol=1e-3, rtol=0)
            assert torch.equal(batch.true_label == -2, data.is_foreign[batch.index])
            assert torch.equal(batch.label, data.labels[batch.index])
    assert 0 < int(data.is_foreign[data.val_indices].sum()) < len(data.val_indices)
    (test,) = data.test_dataloader()
    assert all((batch.true_label >= 0).all() for batch in test)


def test_foreign_images_get_the_shape_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate(monkeypatch)
    for data in (CIFAR10(noise=OpenSet(0.4, MNIST())), MNIST(noise=OpenSet(0.4, CIFAR10()))):
        data.prepare_data()
        data.setup()
        index = data.label_table().foreign_index
        assert index is not None
        assert int(data.is_foreign.sum()) == round(0.4 * COUNT)
        assert isinstance(data.noise, OpenSet)
        source = torch.as_tensor(data.noise.source.load(True).images)
        expected = reshaped(source[index[data.is_foreign]], data.image_shape)
        assert torch.equal(torch.as_tensor(data.source.images)[data.is_foreign], expected)


@pytest.mark.parametrize("exclude", [["0", "7"], [str(digit) for digit in range(9)]])
def test_classes_can_be_left_out(exclude: list[str]) -> None:
    data = digits(OpenSet(0.05, Digits(), exclude))
    labels = Digits().load(True).labels[index_of(data)[data.is_foreign]]
    assert set(labels.tolist()) == {digit for digit in range(10) if str(digit) not in exclude}


def test_broken_images_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are black: decoding gave nothing."""
    broken = torch.arange(1437) % 3 == 0
    whole = Digits().load(True)
    monkeypatch.setattr(Digits, "load", lambda self, train: whole._replace(broken=broken))
    foreign = OpenSet(0.5, Digits()).foreign_images(1437, (8, 8, 1), torch.Generator())
    assert foreign is not None
    assert not broken[foreign.index[foreign.index >= 0]].any()
    with pytest.raises(InputError, match="Digits has only 958 to take"):
        OpenSet(0.9, Digits()).foreign_images(1437, (8, 8, 1), torch.Generator())


def test_what_is_like_a_class_of_cifar10_can_be_left_out_by_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = torch.zeros(200, 32, 32, 3, dtype=torch.uint8), torch.arange(200) % 100
    monkeypatch.setattr(CIFAR100, "load", lambda self, train: Source(images, labels))
    assert set(CIFAR10_ALIKE) < set(CLASS_NAMES)
    foreign = OpenSet(1.0, CIFAR100(), "cifar10_alike").foreign_images(184, (32, 32, 3), torch.Generator())
    assert foreign is not None
    taken = {CLASS_NAMES[label] for label in labels[foreign.index].tolist()}
    assert taken == set(CLASS_NAMES) - set(CIFAR10_ALIKE)


def test_the_files_of_the_other_data_set_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    monkeypatch.setattr(CIFAR100, "fetch", lambda self: fetched.append(self.root))
    Digits(noise=OpenSet(0.4, CIFAR100(Path("there")))).prepare_data()
    assert fetched == [Path("there")]


def test_no_foreign_image_is_no_noise() -> None:
    data = digits(OpenSet(0.0, Digits()))
    assert not data.is_foreign.any()
    assert data.label_table().foreign_index is None
    assert data.noise_hash == digits(NoNoise()).noise_hash == label_hash(data.labels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OpenSet(1.1, Digits()), r"^rate must be in \[0, 1\], got 1.1$"),
        (
            lambda: OpenSet(0.4, Digits(), ["eleven"]),
            r"^exclude: 'eleven' is no class of Digits, whose classes are 0, ",
        ),
        (
            lambda: OpenSet(0.4, CIFAR100(), ["buss"]),
            r"^exclude: 'buss' is no class of CIFAR100; did you mean bus\?$",
        ),
        (lambda: OpenSet(0.4, Digits(), "alike"), r"^exclude must be a list of class names, .*, got 'alike'$"),  # type: ignore[arg-type]
        (
            lambda: digits(OpenSet(0.4, Digits(), [str(digit) for digit in range(9)])),
            r"^rate: 0.4 of 1437 images are 575, but Digits has only \d+ to take .*: choose a rate of at most 0.0\d+$",
        ),
        (lambda: digits(redraw="per_epoch"), r"^data.redraw must be once: OpenSet would be the same in every epoch"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_images_that_are_not_in_memory_are_refused() -> None:
    class Elsewhere:
        shape = (4, 8, 8, 1)

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: Tensor) -> Tensor:
            return torch.zeros(len(index), 8, 8, 1, dtype=torch.uint8)

    source = Source(Elsewhere(), torch.zeros(4, dtype=torch.int64), identity="x")
    with pytest.raises(InputError, match="source: its images must be in memory"):
        take_images(source, torch.tensor([0]), (8, 8, 1))


# --- What is written down


def test_the_noise_files_tell_and_give_back_what_was_exchanged(tmp_path: Path) -> None:
    data = digits()
    write_manifest(tmp_path, data.noise_summary(), data.label_table())
    summary, table = read_manifest(tmp_path)
    assert summary == data.noise_summary()
    assert (summary.kind, summary.arguments) == ("OpenSet", {"rate": 0.4, "source": "Digits", "exclude": None})
    assert summary.nominal_rate == summary.expected_rate == 0.4
    assert summary.realised_rate == 575 / 1437
    assert (summary.num_foreign, summary.foreign_checksum) == (575, Digits().load(True).checksum())
    assert summary.dataset_checksum == Digits().load(True).checksum()
    assert summary.realised_matrix == torch.eye(10).tolist()
    assert table.foreign_index is not None
    assert torch.equal(table.foreign_index, index_of(data))
    assert torch.equal(table.true_labels, data.true_labels)

    again = digits(LabelFile(tmp_path / "noise.csv", source=Digits()))
    assert again.noise_hash == summary.label_hash == data.noise_hash
    assert torch.equal(again.labels, data.labels)
    assert torch.equal(again.is_clean, data.is_clean)
    assert torch.equal(torch.as_tensor(again.source.images), torch.as_tensor(data.source.images))
    assert again.noise_summary().realised_rate == again.noise_summary().nominal_rate == summary.realised_rate


def test_a_file_and_the_data_set_of_its_images_go_together(tmp_path: Path) -> None:
    data = digits()
    write_manifest(tmp_path, data.noise_summary(), data.label_table())
    with pytest.raises(InputError, match=r"^source must be the data set of the foreign images that .*noise\.csv names"):
        LabelFile(tmp_path / "noise.csv")
    (tmp_path / "plain.csv").write_text("label_noisy\n1\n")
    with pytest.raises(InputError, match=r"^source must be left out for .*plain\.csv, which names no foreign images$"):
        LabelFile(tmp_path / "plain.csv", source=Digits())
    text = (tmp_path / "noise.csv").read_text()
    first = int(data.is_foreign.nonzero()[0])
    lines = text.split("\n")
    lines[first + 1] = lines[first + 1].rpartition(",")[0] + ",1437"
    (tmp_path / "noise.csv").write_text("\n".join(lines))
    with pytest.raises(InputError, match="source: it has 1437 training images, and none at position 1437"):
        digits(LabelFile(tmp_path / "noise.csv", source=Digits()))


def test_the_hash_tells_foreign_images_from_others() -> None:
    labels, index = torch.tensor([0, 1, 2]), torch.tensor([-1, 5, -1])
    hashes = {
        label_hash(labels),
        label_hash(labels, index, "a"),
        label_hash(labels, index, "b"),
        label_hash(labels, index.flip(0) * 2, "a"),
        label_hash(labels, index + 1, "a"),
    }
    assert len(hashes) == 5
    state = digits().state_dict()
    with pytest.raises(InputError, match="was trained on labels"):
        digits(seed=1).load_state_dict(state)
    with pytest.raises(InputError, match="was trained on labels"):
        digits(NoNoise()).load_state_dict(state)


def test_a_torn_row_with_a_foreign_image_is_refused(tmp_path: Path) -> None:
    data = digits()
    write_manifest(tmp_path, data.noise_summary(), data.label_table())
    lines = (tmp_path / "noise.csv").read_text().split("\n")
    for row in (lines[1].rpartition(",")[0], lines[1] + ",1", lines[1] + "x"):
        (tmp_path / "noise.csv").write_text("\n".join([lines[0], row, *lines[2:]]))
        with pytest.raises(InputError, match=r"noise\.csv, line 2: .* is no row of 'index,.*,foreign_index'"):
            read_manifest(tmp_path)


# --- What is measured


def test_a_foreign_image_counts_as_noisy_and_has_no_true_label(tmp_path: Path) -> None:
    labels, true_labels = np.array([0, 1, 2, 0, 1]), np.array([0, -2, -1, 1, -2])
    prediction = np.array([0, 1, 2, 1, 0])
    loss = np.array([0.5, 2.0, 1.0, 1.0, 4.0], np.float32)
    record = EpochRecord(loss, loss, prediction, np.array([1, 1, 0, 0, 0.5], np.float32))
    found = measure(record, labels, true_labels)
    assert found["loss_clean"] == 0.5
    assert found["loss_noisy"] == pytest.approx(7 / 3)
    assert found["auroc"] == 1.0
    assert (found["memorised"], found["corrected"], found["neither"]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found["acc_true"] == 1.0  # of the two samples that have a true label
    assert found["label_precision"] == pytest.approx(1 / 2.5)
    rows = zip(true_labels.tolist(), labels.tolist(), strict=True)
    lines = [
        f"{i},{'' if true == -1 else true},{given},train,{5 if true == -2 else ''}\n"
        for i, (true, given) in enumerate(rows)
    ]
    (tmp_path / "noise.csv").write_text("index,true_label,given_label,split,foreign_index\n" + "".join(lines))
    write_epoch(tmp_path / "records", 0, record)
    records = load(tmp_path)
    assert np.flatnonzero(records.is_clean).tolist() == [0]
    assert np.flatnonzero(records.is_noisy).tolist() == [1, 3, 4]


def test_a_run_with_foreign_images(run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = ("--data.noise", "OpenSet", "--data.noise.source", "Digits", "--data.noise.rate", "0.4")
    assert run("fit", *SMALL, *noise) == 0
    folder = tmp_path / "runs/default/0"
    records = load(folder)
    assert int(records.is_noisy.sum()) == 575
    measures = records.measures()
    assert {"loss_clean", "loss_noisy", "auroc", "acc_true"} <= set(measures)
    assert (measures["corrected"] == 0).all()
    assert run("test", str(folder)) == 0
    assert run("test", str(folder), "--data.seed", "1") == 2
    assert "was trained on labels" in capsys.readouterr().err
    assert run("noise", "--data", "Digits", *noise) == 0
    assert "images 575 of another data set" in capsys.readouterr().out


def test_foreign_images_do_not_mix_with_other_noise_by_accident() -> None:
    assert digits(Symmetric(0.4)).label_table().foreign_index is None
