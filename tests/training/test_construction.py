"""A classifier made in Python: of classes or objects, for a data set, and again from its checkpoint."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, TensorDataset

from noisy_lightning import (
    CIFAR10,
    Digits,
    ImageArrays,
    NoisyClassifier,
    SampleRecorder,
    backbones,
    load_records,
    losses,
    methods,
    noise,
)
from noisy_lightning.errors import InputError
from noisy_lightning.training.specification import import_path
from tests.networks import Plain


def _data(**arguments: Any) -> Digits:
    return Digits(noise=noise.Symmetric(0.4), batch_size=256, **arguments)


def _trainer(folder: Path, **options: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(
        **{"max_epochs": 1, "accelerator": "cpu", "devices": 1, "default_root_dir": folder, **quiet, **options}
    )


def test_dimensions_come_from_the_data() -> None:
    data = _data()
    model = NoisyClassifier.for_data(data, Plain)
    assert (model.num_classes, model.num_samples) == (10, 1437)
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert len(data.labels) == 1437  # it has been set up


@pytest.mark.parametrize(
    "arguments",
    [
        {"backbone": Plain, "loss": losses.SymmetricCrossEntropy},
        {"backbone": partial(Plain, width=8), "loss": losses.SymmetricCrossEntropy(alpha=0.5)},
        {"backbone": Plain(10, 1)},
        {"backbone": Plain, "method": partial(methods.CoTeaching, warm_up=1)},
        {
            **{"backbone": Plain, "method": methods.EarlyLearningRegularization},
            "optimizer": partial(AdamW, lr=0.01),
            "lr_scheduler": partial(CosineAnnealingLR, T_max=0),
        },
    ],
)
def test_it_trains_and_leaves_records(arguments: dict[str, Any], tmp_path: Path) -> None:
    data = _data()
    model = NoisyClassifier.for_data(data, **arguments)
    recorder = SampleRecorder(tmp_path / "recorded")
    _trainer(tmp_path, callbacks=[recorder], enable_checkpointing=False).fit(model, datamodule=data)
    records = load_records(tmp_path / "recorded")
    np.testing.assert_array_equal(records.labels, data.labels.numpy())
    assert records.loss.shape == (1, 1437)
    assert 0 < records.measures()["auroc"][0] < 1


def test_one_network_does_not_serve_two() -> None:
    with pytest.raises(InputError, match=r"model.backbone: the method takes several networks: give a class"):
        NoisyClassifier.for_data(_data(), Plain(10, 1), method=methods.CoTeaching)


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
@pytest.mark.parametrize("loader", [DataLoader, lambda data: [next(iter(DataLoader(data)))]])
def test_loaders_without_labels_of_their_own_are_refused_by_what_to_use(loader: Any, tmp_path: Path) -> None:
    images = TensorDataset(torch.zeros(4, 1, 8, 8), torch.zeros(4, dtype=torch.long))
    model = NoisyClassifier(10, 1, 4, Plain)
    with pytest.raises(InputError, match=r"ImageArrays\(images, labels\).*FromDataset\(dataset\)"):
        _trainer(tmp_path).fit(model, loader(images))


def _saved(tmp_path: Path, **arguments: Any) -> tuple[NoisyClassifier, Path]:
    data = _data()
    model = NoisyClassifier.for_data(data, **arguments)
    trainer = _trainer(tmp_path, limit_train_batches=1)
    trainer.fit(model, datamodule=data)
    path = tmp_path / "elsewhere" / "model.ckpt"
    trainer.save_checkpoint(path)
    return model.eval(), path


@pytest.mark.parametrize(
    "arguments",
    [
        {"backbone": Plain},
        {"backbone": partial(Plain, width=8), "loss": losses.GeneralizedCrossEntropy},
        {"backbone": backbones.SmallCNN, "method": partial(methods.SelfAdaptiveTraining, correction_epoch=1)},
        {"backbone": Plain, "method": methods.DivideMix, "optimizer": partial(SGD, lr=0.1, momentum=0.9)},
    ],
)
def test_a_checkpoint_alone_makes_the_classifier_again(arguments: dict[str, Any], tmp_path: Path) -> None:
    model, path = _saved(tmp_path, **arguments)
    again = NoisyClassifier.load_from_checkpoint(path)
    image = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(again(image), model(image), rtol=0, atol=0)
    assert not again.training
    assert type(again.loss) is type(model.loss)
    assert again.specification == model.specification
    content = torch.load(path, weights_only=True)  # nothing but plain data
    assert content["hyper_parameters"]["num_classes"] == 10


def test_what_was_given_as_an_object_is_asked_for_again(tmp_path: Path) -> None:
    loss, network = losses.SymmetricCrossEntropy(alpha=0.7), Plain(10, 1)
    model, path = _saved(tmp_path, backbone=network, loss=loss)
    expected = r"backbone=Plain\(\.\.\.\), loss=SymmetricCrossEntropy\(\.\.\.\)"
    with pytest.raises(InputError, match=expected):
        NoisyClassifier.load_from_checkpoint(path)
    with pytest.raises(InputError, match="backbone=Plain"):
        NoisyClassifier.load_from_checkpoint(path, loss=loss)
    again = NoisyClassifier.load_from_checkpoint(path, loss=loss, backbone=Plain)
    image = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(again(image), model(image), rtol=0, atol=0)
    assert again.loss is loss


def test_a_class_that_is_gone_is_named(tmp_path: Path) -> None:
    _, path = _saved(tmp_path, backbone=Plain)
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["backbone"] = {"class_path": "gone.Network"}
    torch.save(content, path)
    with pytest.raises(InputError, match=r"gone\.Network cannot be imported"):
        NoisyClassifier.load_from_checkpoint(path)
    NoisyClassifier.load_from_checkpoint(path, backbone=Plain)
    with pytest.raises(InputError, match="there is no checkpoint"):
        NoisyClassifier.load_from_checkpoint(tmp_path / "nothing.ckpt")


def test_lightnings_own_checkpoints_bear_the_right_step(tmp_path: Path) -> None:
    data = _data()
    model = NoisyClassifier.for_data(data, Plain)
    checkpoints = ModelCheckpoint(tmp_path, filename="{epoch}-{step}-{val/acc:.2f}", save_top_k=-1)
    trainer = _trainer(tmp_path, max_epochs=2, limit_train_batches=3, callbacks=[checkpoints])
    trainer.fit(model, datamodule=data)
    names = sorted("-".join(path.as_posix().split("/")[-2:]) for path in tmp_path.rglob("*.ckpt"))
    assert [name.split("-val")[0] for name in names] == ["epoch=0-step=3", "epoch=1-step=6"]


def test_a_notebooks_own_images_train_and_are_tested(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(3, size=90)
    images = (random.integers(100, size=(90, 12, 12, 3)) + 50 * labels[:, None, None, None]).astype(np.uint8)
    data = ImageArrays(images, labels, test=(images, labels), clean=True, noise=noise.Symmetric(0.2), batch_size=30)
    model = NoisyClassifier.for_data(data, Plain, optimizer=partial(SGD, lr=0.1))
    trainer = _trainer(tmp_path, max_epochs=2)
    trainer.fit(model, datamodule=data)
    (tested,) = trainer.test(model, datamodule=data, verbose=False)
    assert 0 <= tested["test/acc"] <= 1


def test_a_data_set_that_is_not_there_says_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="CIFAR-10 is not in"):
        NoisyClassifier.for_data(CIFAR10(root=tmp_path, download=False))


@pytest.mark.parametrize(("channels_last", "memory"), [(True, torch.channels_last), (False, torch.contiguous_format)])
def test_weights_lie_in_the_memory_format_that_was_asked_for(channels_last: bool, memory: torch.memory_format) -> None:
    model = NoisyClassifier(10, 3, 100, backbone=backbones.SmallCNN, channels_last=channels_last)
    weights = [weight for weight in model.parameters() if weight.ndim == 4 and weight.shape[1] > 1]
    assert len(weights) > 1
    assert all(weight.is_contiguous(memory_format=memory) for weight in weights)


def test_a_class_goes_by_the_package_that_exports_it() -> None:
    assert import_path(backbones.SmallCNN) == "noisy_lightning.backbones.SmallCNN"
    assert import_path(noise.Symmetric) == "noisy_lightning.data.Symmetric"
    assert import_path(torch.optim.SGD) == "torch.optim.SGD"


def test_an_argument_out_of_range_is_named() -> None:
    wrong: dict[str, Any] = {"freeze_body_epochs": -1, "body_lr_factor": 0.0, "l1_decay": -1.0}
    for argument, value in wrong.items():
        with pytest.raises(InputError, match=f"model.{argument} must be"):
            NoisyClassifier.for_data(_data(), Plain, **{argument: value})
