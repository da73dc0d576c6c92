"""Data sets as a frozen network sees them, and the file that keeps the features."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from noisy_lightning import load_run
from noisy_lightning.backbones import MLP, Linear, SmallCNN, Timm
from noisy_lightning.backbones.pretrained import Inputs
from noisy_lightning.data import (
    CIFAR10,
    Asymmetric,
    Digits,
    Embedded,
    ImageFolder,
    NoNoise,
    OpenSet,
    PartDependent,
    RandAugment,
    RandomResizedCrop,
    Symmetric,
)
from noisy_lightning.data.sets import embedding, feature_cache
from noisy_lightning.errors import InputError

INPUTS = Inputs([0.5], [0.25], 8)


@final
class Eye(nn.Module):
    """Sees the normalized pixels, and their squares with a stage."""

    inputs = INPUTS
    looks: ClassVar[list[int]] = []

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def embed(self, image: Tensor, stages: int = 0) -> Tensor:
        """Return (B, D)."""
        self.looks.append(len(image))
        seen = (image * self.scale).flatten(1)
        return torch.cat([seen.square(), seen], 1) if stages else seen


@final
class Color(nn.Module):
    """Sees the pixels of three channels."""

    inputs = Inputs([0.5] * 3, [0.25] * 3, 8)

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Linear(1, 1)

    def embed(self, image: Tensor, stages: int = 0) -> Tensor:
        """Return (B, D)."""
        return image.flatten(1)


def _embedded(folder: Path, network: Any = Eye, **arguments: Any) -> Embedded:
    inner = arguments.pop("data", None) or Digits()
    return Embedded(inner, network, **{"stages": 0, "cache": folder, **arguments})


def _set_up(data: Embedded, stage: str = "fit") -> Embedded:
    data.prepare_data()
    data.setup(stage)
    return data


@pytest.fixture(autouse=True)
def _no_looks_yet() -> None:
    Eye.looks.clear()


def _pixels(data: Digits | Embedded, index: Tensor) -> Tensor:
    """Return what the network sees of images."""
    return (data.train_images(index).float() / 255 - 0.5).flatten(1) / 0.25


def test_features_are_what_the_network_sees_standardized(tmp_path: Path) -> None:
    data = _set_up(_embedded(tmp_path, batch_size=32))
    assert (data.image_shape, data.in_channels, data.picture_shape) == ((1, 1, 64), 64, (8, 8, 1))
    everything = torch.arange(len(data.labels))
    seen = _pixels(data, everything)
    torch.testing.assert_close(data.features().squeeze(1).float(), seen, rtol=0, atol=2e-2)  # bfloat16
    batch = next(iter(data.train_dataloader()))
    deviation = data.features().squeeze(1).double().std(0, correction=0)
    standardized = (data.features().squeeze(1).double() - data.features().squeeze(1).double().mean(0)) / torch.where(
        deviation > 1e-6, deviation, 1
    )
    assert batch.image.shape == (32, 64, 1, 1)
    torch.testing.assert_close(batch.image.flatten(1), standardized[batch.index].float(), rtol=1e-4, atol=1e-4)
    assert torch.equal(batch.label, data.labels[batch.index])


def test_labels_noise_and_split_are_those_of_the_images(tmp_path: Path) -> None:
    for noise in (Symmetric(0.4), PartDependent(0.3)):
        plain = Digits(noise=noise, seed=3, val_fraction=0.2)
        plain.prepare_data()
        plain.setup("fit")
        data = _set_up(_embedded(tmp_path, noise=noise, seed=3, val_fraction=0.2))
        assert data.noise_hash == plain.noise_hash
        assert torch.equal(data.train_indices, plain.train_indices)
        assert data.noise_summary() == plain.noise_summary()


def test_the_data_set_with_images_has_the_same_labels_and_split(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"noise": Symmetric(0.4), "seed": 3, "val_fraction": 0.3, "batch_size": 7}
    data = _set_up(_embedded(tmp_path, **arguments))
    images = data.with_images()
    images.prepare_data()
    images.setup("fit")
    assert isinstance(images, Digits)
    assert images.noise_hash == data.noise_hash
    assert torch.equal(images.val_indices, data.val_indices)
    assert images.batch_size == 7
    assert images.with_images() is images
    assert isinstance(data.data.noise, NoNoise)


def test_a_cropped_view_depends_on_the_image_alone(tmp_path: Path) -> None:
    data = _embedded(tmp_path, views=3)
    images = Digits().load(train=True).images
    (whole,) = data._embedding(images, [range(40)], "digits")
    parts = list(data._embedding(images, [range(15), range(15, 40)], "digits"))
    np.testing.assert_array_equal(np.concatenate([part.features for part in parts]), whole.features)


def test_asymmetric_noise_follows_the_flips_of_the_inner_data_set(tmp_path: Path) -> None:
    data = _embedded(tmp_path, data=CIFAR10(tmp_path), network=Color, noise=Asymmetric(0.2))
    assert (data.usual_flips, data.dataset) == ("cifar10", "CIFAR10")
    matrix = data.noise.transition_matrix(10)
    assert matrix is not None
    assert matrix[9, 1] == pytest.approx(0.2)


def test_features_are_computed_once(tmp_path: Path) -> None:
    _set_up(_embedded(tmp_path))
    first = sum(Eye.looks)
    assert first == 1437 + 1  # one look finds out how many features there are
    _set_up(_embedded(tmp_path))
    assert sum(Eye.looks) == first + 1
    data = _set_up(_embedded(tmp_path, noise=Symmetric(0.4), seed=5))
    assert sum(Eye.looks) == first + 2
    data.setup("test")
    assert sum(Eye.looks) == first + 2 + 360
    _set_up(_embedded(tmp_path, views=2))
    assert sum(Eye.looks) == first + 2 + 360 + 2 * 1437 + 1


def test_other_weights_or_images_have_other_features(tmp_path: Path) -> None:
    one = _set_up(_embedded(tmp_path))

    def doubled(num_classes: int, in_channels: int) -> Eye:
        network = Eye(num_classes, in_channels)
        network.scale.data.fill_(2)
        return network

    other = _set_up(_embedded(tmp_path, doubled))
    torch.testing.assert_close(other.features(), 2 * one.features(), rtol=1e-2, atol=1e-2)
    foreign = _set_up(_embedded(tmp_path, noise=OpenSet(0.3, Digits())))
    assert foreign.is_foreign.any()
    replaced = (foreign.features() != one.features()).flatten(1).any(1)
    assert torch.equal(replaced & foreign.is_foreign, replaced)
    assert replaced.sum() > 0.9 * foreign.is_foreign.sum()
    torch.testing.assert_close(
        foreign.features().squeeze(1).float(), _pixels(foreign, torch.arange(1437)), rtol=0, atol=2e-2
    )


def test_an_interrupted_computation_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _set_up(_embedded(tmp_path / "whole")).features().clone()
    Eye.looks.clear()
    see = Eye.embed

    def interrupted(self: Eye, image: Tensor, stages: int = 0) -> Tensor:
        if sum(self.looks) > 1200:
            raise KeyboardInterrupt
        return see(self, image, stages)

    monkeypatch.setattr(Eye, "embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _set_up(_embedded(tmp_path / "part"))
    monkeypatch.setattr(Eye, "embed", see)
    Eye.looks.clear()
    assert torch.equal(_set_up(_embedded(tmp_path / "part")).features(), whole)
    assert sum(Eye.looks) == 1 + 1437 - 1024


def test_a_damaged_file_is_noticed_and_made_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = _set_up(_embedded(tmp_path)).features().clone()
    (path,) = tmp_path.glob("features_*.npy")
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    Eye.looks.clear()
    assert torch.equal(_set_up(_embedded(tmp_path)).features(), whole)
    assert sum(Eye.looks) == 1 + 1024
    assert "1 of 2 blocks are missing or damaged" in capsys.readouterr().err


def test_a_whole_file_is_read_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _set_up(_embedded(tmp_path)).features().clone()
    (lock,) = tmp_path.glob("*.lock")
    lock.unlink()

    def fail(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(feature_cache, "Lock", fail)
    data = _set_up(_embedded(tmp_path))
    assert torch.equal(data.features(), whole)
    data.features()[:] = 0  # and the file stays as it is
    assert torch.equal(_set_up(_embedded(tmp_path)).features(), whole)
    with pytest.raises(InputError, match=r"data\.cache: .*Permission denied"):
        _set_up(_embedded(tmp_path, views=2))


@pytest.mark.parametrize("change", [{"key": "another"}, {"shape": [1, 1, 1]}])
def test_a_file_of_other_images_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    _set_up(_embedded(tmp_path))
    (path,) = tmp_path.glob("features_*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=r"data.cache: .*json is that of other images or another network: delete it"):
        _set_up(_embedded(tmp_path))


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_a_file_that_says_nothing_is_refused(content: str, tmp_path: Path) -> None:
    _set_up(_embedded(tmp_path))
    (path,) = tmp_path.glob("features_*.json")
    path.write_text(content)
    with pytest.raises(InputError, match=r"features_\w+\.json"):
        _set_up(_embedded(tmp_path))


def test_a_file_cut_off_is_made_whole_and_one_without_its_head_refused(tmp_path: Path) -> None:
    whole = _set_up(_embedded(tmp_path)).features().clone()
    (path,) = tmp_path.glob("features_*.npy")
    path.write_bytes(path.read_bytes()[:150_000])
    assert torch.equal(_set_up(_embedded(tmp_path)).features(), whole)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"data.cache: .*npy is damaged .*: delete it"):
        _set_up(_embedded(tmp_path))


def test_training_takes_each_view_and_everything_else_the_first(tmp_path: Path) -> None:
    data = _set_up(_embedded(tmp_path, views=3, batch_size=2000, val_fraction=0.0))
    everything = torch.arange(len(data.labels))
    mirrored = (data.train_images(everything).flip(3).float() / 255 - 0.5).flatten(1) / 0.25
    torch.testing.assert_close(data.features()[:, 1].float(), mirrored, rtol=0, atol=2e-2)
    mean, std = (torch.tensor(values).float() for values in (data.augmentation.mean, data.augmentation.std))

    def served(loader: Any) -> tuple[Tensor, Tensor]:
        batch = next(iter(loader))
        return batch.image.flatten(-3) * std + mean, batch.index

    image, index = served(data.train_dataloader())
    distance = (image[:, None] - data.features()[index].float()).abs().amax(2)
    counts = (distance < 1e-2).sum(0)
    assert (distance.amin(1) < 1e-2).all()
    assert (counts > 400).all()
    plain, index = served(data.predict_dataloader())
    torch.testing.assert_close(plain, data.features()[index, 0].float(), rtol=1e-3, atol=1e-3)
    data.serve_views(("weak", "strong"))
    images, index = served(data.train_dataloader())
    views = [(one[:, None] - data.features()[index].float()).abs().amax(2).argmin(1) for one in images]
    assert (views[0] != views[1]).all()


def test_a_method_that_takes_more_views_than_there_are_is_refused(tmp_path: Path) -> None:
    data = _embedded(tmp_path, views=2)
    data.serve_views(("weak", "strong"))
    with pytest.raises(InputError, match=r"data.views must be at least 4, as many as the method takes .* got 2"):
        data.serve_views(("weak",) * 4)
    with pytest.raises(InputError, match=r"data.views must be at least 2"):
        _embedded(tmp_path).serve_views(("weak", "strong"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": Digits(seed=1)}, r"data\.data\.seed must be left out: give it as data\.seed"),
        ({"data": Digits(sampling="sqrt")}, r"data\.data\.sampling must be left out: give it as data\.sampling"),
        ({"data": Digits(noise=Symmetric(0.1))}, r"data\.data\.noise must be left out: give it as data\.noise"),
        ({"mean": [0.1]}, r"data\.mean must be left out"),
        ({"crop_padding": 2}, r"data\.crop_padding must be left out"),
        ({"augmentation": RandAugment()}, r"data\.augmentation must be left out"),
        ({"strong_augmentation": RandAugment()}, r"data\.strong_augmentation must be left out"),
        ({"stages": 2, "network": SmallCNN}, r"data\.stages must be 0 for SmallCNN"),
        ({"views": 0}, r"data\.views at least 1, got 0 and 0"),
    ],
)
def test_what_cannot_work_is_refused(arguments: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        _embedded(tmp_path, **arguments)
    with pytest.raises(InputError, match=r"data\.data must be a data set of images"):
        _embedded(tmp_path, data=_embedded(tmp_path))


def test_a_margin_to_crop_from_is_refused(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (10, 10)).save(tmp_path / name / "0.png")
    for arguments in ({"crop_margin": 1}, {"augmentation": RandomResizedCrop()}):
        data = ImageFolder(tmp_path, image_size=8, **arguments)
        with pytest.raises(InputError, match=r"data\.data must have no crop_margin and crop nothing"):
            _embedded(tmp_path, data=data, network=Color)


def test_files_are_opened_once_and_broken_ones_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pets = tmp_path / "pets"
    for number, name in enumerate(["cat", "dog"]):
        (pets / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (10, 10), (5 * i, 100 * number, 7)).save(pets / name / f"{i:02}.png")
    (pets / "dog/05.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"1 of 40 images are broken"):
        _set_up(_embedded(tmp_path, data=ImageFolder(pets, image_size=8), network=Color))
    with pytest.warns(UserWarning, match="1 of 40 images are broken and left out"):
        data = _set_up(_embedded(tmp_path, data=ImageFolder(pets, image_size=8, broken="skip"), network=Color))
    assert data.train_names is not None
    assert data.train_names[25] == "dog/05.png"
    assert 25 not in torch.cat([data.train_indices, data.val_indices])
    assert data.features().shape == (40, 1, 192)
    opened: list[int] = []
    monkeypatch.setattr(embedding, "_read_some", lambda *arguments: opened.append(1))
    with pytest.warns(UserWarning, match="1 of 40 images are broken and left out"):
        again = _set_up(_embedded(tmp_path, data=ImageFolder(pets, image_size=8, broken="skip"), network=Color))
    assert not opened
    assert torch.equal(again.features(), data.features())
    assert again.train_images(torch.tensor([3])).shape == (1, 3, 8, 8)


def test_broken_images_are_left_out_where_noise_wants_all_in_memory(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (10, 10), (5 * number, 0, 7)).save(tmp_path / "pets" / name / f"{number:02}.png")
    (tmp_path / "pets/dog/05.png").write_bytes(b"no image")
    files = ImageFolder(tmp_path / "pets", image_size=8, broken="skip", clean=True)
    with pytest.warns(UserWarning, match="1 of 40 images are broken and left out"):
        data = _set_up(_embedded(tmp_path, data=files, network=Color, noise=Symmetric(0.2)))
    assert 25 not in torch.cat([data.train_indices, data.val_indices])


def test_noise_that_wants_the_truth_is_refused_before_a_picture_is_read(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        (tmp_path / "pets" / name / "0.png").write_bytes(b"no picture")
    files = ImageFolder(tmp_path / "pets", image_size=8)
    with pytest.raises(InputError, match="needs every sample's true label"):
        _set_up(_embedded(tmp_path, data=files, network=Color, noise=Symmetric(0.5)))


def test_other_test_sets_are_embedded_too(tmp_path: Path) -> None:
    data = _embedded(tmp_path, test_sets={"again": Digits()})
    data.setup("test")
    first, second = (next(iter(loader)) for loader in data.test_dataloader())
    torch.testing.assert_close(first.image, second.image)
    assert first.image.shape[1:] == (64, 1, 1)


def test_a_real_network_of_timm_embeds(tmp_path: Path) -> None:
    def network(num_classes: int, in_channels: int) -> Timm:
        return Timm(num_classes, in_channels, "test_resnet", image_size=16)

    data = _set_up(_embedded(tmp_path, network, stages=2))
    assert data.in_channels == 96 + 128 + 160
    assert torch.isfinite(data.features()).all()


def test_a_run_is_tested_on_features_of_the_same_pretrained_weights(run: Callable[..., int], tmp_path: Path) -> None:
    """What belongs to the data has its weights, although a test spares those of the run's own network."""
    trained = Timm(10, 1, "test_resnet", image_size=16)
    for value in trained.state_dict().values():
        if value.is_floating_point():
            value.mul_(1.25)
    torch.save(trained.network.state_dict(), tmp_path / "weights.pt")
    network = ["--data.network", "Timm", "--data.network.name", "test_resnet", "--data.network.image_size", "16"]
    options = ["--data", "Embedded", "--data.data", "Digits", *network, "--data.network.weights", "weights.pt"]
    options += ["--data.stages", "2", "--data.cache", "c", "--model.backbone", "Linear", "--model.optimizer", "Adam"]
    options += ["--trainer.max_epochs", "3", "--trainer.accelerator", "cpu", "--test_every_epoch", "true"]
    assert run("fit", *options) == 0
    with (tmp_path / "runs/default/0/metrics.csv").open() as file:
        during = [float(row["test/acc"]) for row in csv.DictReader(file)]
    assert run("test", "runs/default/0", "last") == 0
    assert len(list((tmp_path / "c").glob("*.npy"))) == 2
    opened, data = load_run("runs/default/0", "last"), Digits()
    data.setup("test")
    images = data.test_images(torch.arange(40))
    features = torch.stack([opened.transform(image) for image in images])
    loaded = _embedded(tmp_path / "c", partial(Timm, name="test_resnet", weights="weights.pt", image_size=16), stages=2)
    batch = next(iter(_set_up(loaded, "test").test_dataloader()[0]))
    torch.testing.assert_close(features, batch.image[:40], rtol=0, atol=0.05)
    with torch.no_grad():
        assert (opened.model(features).argmax(1) == batch.true_label[:40]).float().mean() > 0.5
    after = json.loads((tmp_path / "runs/default/0/result.json").read_text())
    assert after["test"]["last"]["test/acc"] > 0.5
    assert during[-1] == pytest.approx(after["test"]["last"]["test/acc"], abs=1e-6)


def test_classifiers_of_features() -> None:
    features = torch.randn(6, 5, 1, 1)
    linear = Linear(3, 5)
    assert torch.equal(linear(features), torch.zeros(6, 3))
    assert MLP(3, 5, [4, 7]).eval()(features).shape == (6, 3)
    for network in (linear, MLP(3, 5)):
        with pytest.raises(
            InputError, match=r"it takes features, as the data set Embedded has them, and got images of"
        ):
            network(torch.zeros(2, 5, 4, 4))
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        Linear(3, 5, dropout=1)
    with pytest.raises(ValueError, match="hidden must be widths of at least 1"):
        MLP(3, 5, [0])


def test_a_configuration_trains_and_tests_on_features(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embedded = ["--data", "Embedded", "--data.data", "Digits", "--data.network", "SmallCNN", "--data.stages", "0"]
    options = [*embedded, "--data.cache", str(tmp_path / "c"), "--data.noise", "Symmetric", "--data.noise.rate", "0.2"]
    options += ["--model.backbone", "Linear", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]
    assert run("fit", *options) == 0
    assert run("test", "runs/default/0") == 0
    assert run("predict", "runs/default/0") == 0
    result = json.loads((tmp_path / "runs/default/0/result.json").read_text())
    assert result["test"]["last"]["test/acc"] > 0.2
    assert run("noise", *options[:-6]) == 0
    assert "Digits, 1,437 training images" in capsys.readouterr().out
    assert np.load(tmp_path / "runs/default/0/predictions_last.npz")["probability"].shape == (1437, 10)
