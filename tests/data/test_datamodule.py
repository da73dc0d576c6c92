import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jsonargparse import auto_cli
from PIL import Image
from torch.nn import functional as F
from torchvision import datasets

from noisy_lightning.data import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Asymmetric,
    Digits,
    ImageArrays,
    ImageFolder,
    LabelNoise,
    NoisyDataModule,
    NoNoise,
    PairFlip,
    Symmetric,
)
from noisy_lightning.data.labels import realised_rate
from noisy_lightning.data.loading.loader import Batches
from noisy_lightning.data.sets.cifar100_classes import CLASS_NAMES, FINE_TO_COARSE
from noisy_lightning.errors import InputError
from tests.fabricated import TESTED, fabricate


def _digits(**arguments: Any) -> Digits:
    data = Digits(**{"noise": Symmetric(0.4), **arguments})
    data.setup()
    return data


def test_masks_and_split_are_public() -> None:
    data = _digits()
    assert data.labels.shape == data.true_labels.shape == data.is_clean.shape == (1437,)
    assert data.is_clean.equal(data.labels == data.true_labels)
    assert torch.cat((data.train_indices, data.val_indices)).sort()[0].equal(torch.arange(1437))
    assert realised_rate(data.true_labels, data.labels) == pytest.approx(0.4, abs=0.05)
    assert data.label_table().val_indices.equal(data.val_indices)


def test_validation_is_stratified_by_given_labels_and_keeps_them() -> None:
    data = _digits(val_fraction=0.2)
    given = data.labels.bincount(minlength=10)
    assert (data.labels[data.val_indices].bincount(minlength=10) - 0.2 * given).abs().max() <= 0.5
    (loader,) = data.val_dataloader()
    batches = list(loader)
    index = torch.cat([batch.index for batch in batches])
    assert index.equal(data.val_indices)
    assert torch.cat([batch.label for batch in batches]).equal(data.labels[index])
    assert torch.cat([batch.true_label for batch in batches]).equal(data.true_labels[index])
    assert not data.is_clean[index].all()


def test_only_the_training_loader_serves_several_views() -> None:
    data = _digits(crop_padding=1)
    one = next(iter(data.train_dataloader())).image
    data.serve_views(("weak", "weak"))
    two = next(iter(data.train_dataloader())).image
    assert two.shape == (2, *one.shape)
    assert two[0].equal(one)
    others = (data.training_part(0, True), *data.val_dataloader(), *data.test_dataloader(), data.predict_dataloader())
    assert len(others) == 4
    assert all(next(iter(loader)).image.ndim == 4 for loader in others)


def test_where_processes_make_the_batches_no_images_are_kept_ready_to_read() -> None:
    """Each process would have a copy, several times as large as the images."""
    for workers in (0, 1):
        data = Digits(workers=workers)
        data.setup("fit")
        batches = data.train_dataloader().batches
        assert isinstance(batches, Batches)
        assert (batches.store is None) == bool(workers)


def test_the_seed_alone_decides_noise_and_split() -> None:
    torch.manual_seed(1)
    first = _digits()
    torch.manual_seed(2)
    again, other = _digits(), _digits(seed=1)
    assert first.noise_hash == again.noise_hash != other.noise_hash
    assert first.val_indices.equal(again.val_indices)
    assert not first.val_indices.equal(other.val_indices)
    assert _digits(val_fraction=0.3).noise_hash == first.noise_hash  # drawn before the split


def test_test_images_have_true_labels() -> None:
    (loader,) = _digits().test_dataloader()
    batches = list(loader)
    assert sum(len(batch.label) for batch in batches) == 360
    assert all(batch.label.equal(batch.true_label) for batch in batches)


def test_prediction_serves_the_whole_training_set_in_order() -> None:
    data = _digits(crop_padding=2, horizontal_flip=True)
    batches = list(data.predict_dataloader())
    assert torch.cat([batch.index for batch in batches]).equal(torch.arange(1437))
    images = torch.cat([batch.image for batch in batches])
    expected = (data.train_images(torch.arange(1437)) / 255 - 0.305) / 0.376
    torch.testing.assert_close(images, expected, atol=1e-5, rtol=0)


def test_without_a_validation_part_everything_is_trained_on() -> None:
    data = _digits(val_fraction=0)
    assert len(data.train_indices) == 1437
    assert data.val_dataloader() == []


def test_training_is_augmented_as_asked() -> None:
    plain, shifted = _digits(seed=3), _digits(seed=3, crop_padding=2, horizontal_flip=True)
    assert not all(
        a.image.equal(b.image) for a, b in zip(plain.train_dataloader(), shifted.train_dataloader(), strict=True)
    )
    loader = _digits(mean=[0.0], std=[1.0]).train_dataloader()
    batch = next(iter(loader))
    assert batch.image.min() == 0
    assert batch.image.max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "data.batch_size must be at least 1, got 0"),
        ({"eval_batch_size": -1}, "data.eval_batch_size must be at least 1, got -1"),
        ({"val_fraction": 1.0}, r"data.val_fraction must be in \[0, 1\), got 1.0"),
        ({"val_fraction": float("nan")}, "data.val_fraction"),
        ({"val_fraction": 1e-6}, "leaves no sample to validate on"),
        ({"val_fraction": 0.999999}, "leaves no sample to train on"),
        ({"seed": -1}, "data.seed must be at least 0"),
        ({"workers": -1}, "data.workers must be at least 0"),
        ({"crop_padding": -1}, "data.crop_padding must be at least 0"),
        ({"mean": [0.1, 0.2, 0.3]}, "data.mean needs a number in"),
        ({"std": [0.0]}, "data.std needs a number > 0, one per channel"),
        ({"noise": Asymmetric(0.4, {3: 11})}, "11"),
    ],
)
def test_bad_arguments_end_in_one_clear_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _digits(**arguments)


@pytest.mark.parametrize("noise", [NoNoise(), PairFlip(0.4), Symmetric(0.4, include_true=True)])
def test_a_checkpoint_of_other_labels_is_refused(noise: LabelNoise) -> None:
    state = _digits().state_dict()
    _digits().load_state_dict(state)
    other = _digits(noise=noise)
    with pytest.raises(InputError, match=f"{state['noise_hash'][:16]}.*{other.noise_hash[:16]}"):
        other.load_state_dict(state)


def test_what_a_model_needs_is_known_before_any_file_is_read() -> None:
    assert [(data.num_classes, data.in_channels, data.num_samples) for data in (CIFAR10(), MNIST(), Digits())] == [
        (10, 3, 50_000),
        (10, 1, 60_000),
        (10, 1, 1437),
    ]


def test_setup_makes_no_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _digits(val_fraction=0)


# Further test sets


def test_another_data_set_is_brought_to_the_shape_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate(monkeypatch)
    data = CIFAR10(test_sets={"digits": Digits(), "mnist": MNIST()}, mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0])
    data.prepare_data()
    data.setup("test")
    own, digits, mnist = data.test_dataloader()
    assert [sum(len(batch.label) for batch in loader) for loader in (own, digits, mnist)] == [TESTED, 360, TESTED]
    for loader, other in ((digits, Digits()), (mnist, MNIST())):
        source = other.load(train=False)
        images = torch.cat([batch.image for batch in loader])
        gray = torch.as_tensor(source.images).permute(0, 3, 1, 2).float()
        expected = F.interpolate(gray, size=(32, 32), mode="bilinear", antialias=True).round().expand(-1, 3, -1, -1)
        torch.testing.assert_close(images * 255, expected, atol=1.01, rtol=0)  # torchvision rounds on its own way
        assert torch.cat([batch.true_label for batch in loader]).equal(source.labels)


def test_color_becomes_gray_where_this_data_set_is_gray(monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate(monkeypatch)
    data = MNIST(test_sets={"cifar10": CIFAR10()}, mean=[0.0], std=[1.0])
    data.setup("test")
    image = torch.cat([batch.image for batch in data.test_dataloader()[1]])
    red, green, blue = torch.as_tensor(CIFAR10().load(train=False).images).float().unbind(3)
    gray = (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)
    expected = F.interpolate(gray, size=(28, 28), mode="bilinear", antialias=True)
    torch.testing.assert_close(image * 255, expected, atol=2.01, rtol=0)


def test_the_files_of_all_data_sets_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = []
    for place in ("cifar.fetch_cifar10", "mnist.fetch_mnist"):
        monkeypatch.setattr(
            f"noisy_lightning.data.sets.{place}", lambda root, download, place=place: fetched.append((place, root))
        )
    CIFAR10(root=Path("a"), test_sets={"mnist": MNIST(root=Path("b"))}).prepare_data()
    assert fetched == [("cifar.fetch_cifar10", Path("a")), ("mnist.fetch_mnist", Path("b"))]


@pytest.mark.parametrize("name", ["", "a/b", "a-b", "2nd"])
def test_a_test_set_has_a_plain_name(name: str) -> None:
    with pytest.raises(InputError, match=r"data\.test_sets"):
        Digits(test_sets={name: Digits()})


def test_a_test_set_with_fewer_classes_in_another_order_is_measured_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 8, 8, 1).contiguous()
    names = ["7", "3"]
    few = ImageArrays(images, [0, 1, 0, 1], class_names=names, test=(images, ["3", "7", "7", "3"]))
    data = Digits(test_sets={"few": few})
    data.setup("test")
    _, loader = data.test_dataloader()
    assert torch.cat([batch.true_label for batch in loader]).tolist() == [3, 7, 7, 3]
    assert "data.test_sets.few has no class 0, 1, 2, 4, 5 and 3 more" in capsys.readouterr().err


def test_a_further_data_set_without_a_test_part_is_tested_as_a_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, name in enumerate(["7", "3", "7"]):
        path = tmp_path / name / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    data = Digits(test_sets={"mine": ImageFolder(tmp_path, image_size=8, channels=1)})
    data.setup("test")
    _, loader = data.test_dataloader()
    (batch,) = loader
    assert batch.true_label.tolist() == [3, 7, 7]
    assert data.test_images(batch.index, "test_mine")[:, 0, 0, 0].tolist() == [1, 0, 2]
    assert "data.test_sets.mine has no test part: all of its images are tested" in capsys.readouterr().err


def test_classes_without_a_test_image_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    images = torch.zeros(4, 8, 8, 1, dtype=torch.uint8)
    data = ImageArrays(images, ["a", "b", "c", "c"], test=(images, ["a", "a", "c", "c"]), validation="none")
    data.setup("test")
    assert "ImageArrays: the test set has no image of b\n" in capsys.readouterr().err


def test_a_test_set_with_further_classes_is_refused() -> None:
    data = Digits(test_sets={"more": Digits()})
    data.setup("fit")
    data.class_names = ("0", "1")
    with pytest.raises(InputError, match=r"data\.test_sets\.more has classes that .* lacks: 2, 3, 4, "):
        data.setup("test")


# CIFAR-100


def _cifar100(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> CIFAR100:
    images = torch.zeros(400, 32, 32, 3, dtype=torch.uint8)

    def load(root: Path, train: bool) -> Any:
        return SimpleNamespace(data=images.numpy(), targets=[label % 100 for label in range(400)])

    monkeypatch.setattr(datasets, "CIFAR100", load)
    data = CIFAR100(**{"noise": Asymmetric(0.4, "cifar100_superclass"), **arguments})
    data.setup()
    return data


def test_cifar100_has_fine_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _cifar100(monkeypatch)
    assert data.num_classes == len(set(data.class_names)) == 100
    assert data.true_labels.tolist() == [label % 100 for label in range(400)]
    assert torch.tensor(FINE_TO_COARSE)[data.labels].equal(torch.tensor(FINE_TO_COARSE)[data.true_labels])
    assert 0 < int((~data.is_clean).sum()) < 400


def test_cifar100_has_coarse_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _cifar100(monkeypatch, labels="coarse", noise=Symmetric(0.4))
    assert data.num_classes == len(data.class_names) == 20
    assert data.true_labels.bincount().tolist() == [20] * 20
    names = [data.class_names[label] for label in data.true_labels[:100].tolist()]
    assert names[CLASS_NAMES.index("maple_tree")] == "trees"
    assert names[CLASS_NAMES.index("tank")] == "vehicles_2"
    assert CIFAR100.class_names == CLASS_NAMES  # those of the class are left alone
    assert _cifar100(monkeypatch).source.checksum() != data.source.checksum()


def test_labels_are_fine_or_coarse() -> None:
    with pytest.raises(InputError, match=r"^data\.labels must be fine or coarse, got 'medium'$"):
        CIFAR100(labels="medium")  # type: ignore[arg-type]


def test_cifar100_takes_the_arguments_of_every_data_set() -> None:
    data = CIFAR100(Path("there"), batch_size=64, val_fraction=0.2)
    assert (data.root, data.batch_size, data.val_fraction, data.num_samples) == (Path("there"), 64, 0.2, 50_000)
    # The parser of the command line finds them too.
    spec = {"class_path": "noisy_lightning.data.CIFAR100", "init_args": {"labels": "coarse", "batch_size": 32}}
    parsed = auto_cli(_as_given, args=["--data", json.dumps(spec)], as_positional=False)
    assert (parsed.num_classes, parsed.batch_size) == (20, 32)


def _as_given(data: NoisyDataModule) -> NoisyDataModule:
    return data


def _selection_file(folder: Path, data: Digits, **columns: torch.Tensor) -> Path:
    path = folder / "selection.csv"
    names = ["index", "y_noisy", *columns]
    rows = torch.stack([torch.arange(1437), data.labels, *(column.long() for column in columns.values())], 1)
    path.write_text("\n".join([",".join(names), *(",".join(map(str, row)) for row in rows.tolist())]) + "\n")
    return path


def test_a_selection_decides_what_of_the_training_part_is_trained_on(tmp_path: Path) -> None:
    whole = _digits()
    even, third = torch.arange(1437) % 2 == 0, torch.arange(1437) % 6 == 3
    path = _selection_file(tmp_path, whole, select=even, candidate=third, eval_ratio=torch.ones(1437))
    data = _digits(selection=path)
    assert data.val_indices.equal(whole.val_indices)
    assert data.train_indices.equal(whole.train_indices[even[whole.train_indices]])
    assert data.estimated_noise_rate == 1
    assert data.candidate_indices is not None
    assert data.candidate_indices.equal(whole.train_indices[third[whole.train_indices]])
    (served,) = {len(data.train_indices)}
    assert sum(len(batch.index) for batch in data.train_dataloader()) == served
    for _ in range(2):
        data.train_on_candidates()
        assert data.train_indices.equal(whole.train_indices[(even | third)[whole.train_indices]])
    assert data.rejected_indices is not None
    assert data.rejected_indices.equal(whole.train_indices[~(even | third)[whole.train_indices]])
    for _ in range(2):
        data.train_on_candidates(rejected=True)
        assert data.train_indices.equal(whole.train_indices)
        assert data.candidate_indices.equal(whole.train_indices[~even[whole.train_indices]])


def test_a_selection_can_say_what_to_validate_on(tmp_path: Path) -> None:
    even = torch.arange(1437) % 2 == 0
    nobody = torch.zeros(1437)
    path = _selection_file(tmp_path, _digits(), select=even, candidate=nobody, validate=~even)
    data = _digits(selection=path)
    assert data.train_indices.equal(even.nonzero().squeeze(1))
    assert data.val_indices.equal((~even).nonzero().squeeze(1))
    assert not len(_digits(selection=path, validation="none").val_indices)


def test_a_selection_of_nothing_or_for_other_labels_is_refused(tmp_path: Path) -> None:
    nobody = torch.zeros(1437)
    path = _selection_file(tmp_path, _digits(), select=nobody, candidate=nobody)
    with pytest.raises(InputError, match=r"data\.selection .*selection\.csv leaves no sample to train on"):
        _digits(selection=path)
    with pytest.raises(InputError, match="was made for other labels: sample"):
        _digits(selection=path, seed=1)


def test_without_a_selection_there_are_no_candidates() -> None:
    data = _digits()
    assert data.candidate_indices is None
    before = data.train_indices
    data.train_on_candidates()
    assert data.train_indices.equal(before)
