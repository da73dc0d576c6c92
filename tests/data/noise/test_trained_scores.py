"""Scores from a training run of one's own: kept, keyed by all that they depend on, and good for noise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from noisy_lightning.data import Digits, InstanceDependent, TrainedScores
from noisy_lightning.data.labels import label_hash, noise_arguments
from noisy_lightning.errors import InputError
from tests.conftest import SMALL
from tests.networks import Plain, Random

IMAGES = torch.as_tensor(Digits().load(True).images)
LABELS = Digits().load(True).labels


def of(folder: Path, **arguments: Any) -> torch.Tensor:
    quick: dict[str, Any] = {"backbone": Plain, "epochs": 1, "cache": folder, **arguments}
    return TrainedScores(**quick).of(IMAGES, LABELS, 10).of(LABELS, 10)


def test_scores_are_mean_probabilities_of_a_network_that_learns(tmp_path: Path) -> None:
    scores = of(tmp_path, backbone=Random, epochs=3, lr=0.2)
    assert scores.shape == (1437, 10)
    torch.testing.assert_close(scores.sum(1), torch.ones(1437, dtype=torch.float64))
    assert (scores.argmax(1) == LABELS).double().mean() > 0.5


def test_the_mean_is_over_the_epochs(tmp_path: Path) -> None:
    """With a rate too small to move, every epoch has the same probabilities, and so has their mean."""
    one, three = (of(tmp_path, epochs=epochs, lr=1e-30) for epochs in (1, 3))
    torch.testing.assert_close(one, three)


def test_like_images_have_like_scores(tmp_path: Path) -> None:
    """The network is evaluated: no dropout, and no statistics of a batch."""
    same = torch.arange(300) % 7
    scores = TrainedScores(tmp_path, Random, epochs=2, batch_size=64).of(IMAGES[same], LABELS[same], 10)
    torch.testing.assert_close(scores.scores, scores.scores[:7][same], rtol=1e-5, atol=1e-7)


def test_the_same_arguments_give_the_same_scores(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = of(tmp_path / "a", backbone=Random, crop_padding=1, horizontal_flip=True)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(of(tmp_path / "b", backbone=Random, crop_padding=1, horizontal_flip=True), first)


def test_trained_scores_are_kept_and_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = of(tmp_path)
    (file,) = tmp_path.iterdir()
    assert str(file) in capsys.readouterr().out
    np.save(file, np.load(file)[:, ::-1].copy())
    assert torch.equal(of(tmp_path), first.flip(1))
    assert not capsys.readouterr().out


def test_whatever_scores_depend_on_has_a_file_of_its_own(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"epochs": 2},
        {"batch_size": 64},
        {"lr": 0.2},
        {"seed": 1},
        {"crop_padding": 1},
        {"horizontal_flip": True},
        {"backbone": Random},
        {"backbone": lambda classes, channels: Plain(classes, channels, width=8)},
    ]
    for change in ({}, *changes):
        of(tmp_path, **change)
    scores = TrainedScores(tmp_path, Plain, 1)
    scores.of(IMAGES, LABELS.flip(0), 10)
    scores.of(255 - IMAGES, LABELS, 10)
    assert len(list(tmp_path.iterdir())) == 1 + len(changes) + 2


def test_noise_of_trained_scores_is_that_of_their_file_and_trains_once(tmp_path: Path) -> None:
    scores = TrainedScores(tmp_path / "scores", Plain, 2)
    hashes = set()
    for _ in range(2):
        data = Digits(noise=InstanceDependent(0.3, scores))
        data.prepare_data()
        (file,) = (tmp_path / "scores").iterdir()
        written = file.stat().st_mtime_ns
        data.setup()
        assert file.stat().st_mtime_ns == written
        assert int((~data.is_clean).sum()) == round(0.3 * 1437)
        hashes.add(data.noise_hash)
    from_file = InstanceDependent(0.3, file).corrupt(LABELS, None, 10, torch.Generator())
    assert hashes == {label_hash(from_file)}
    assert noise_arguments(data.noise)["scores"] | {"cache": "", "backbone": ""} == {
        **{"cache": "", "backbone": "", "epochs": 2, "batch_size": 128, "lr": 0.1},
        **{"crop_padding": 0, "horizontal_flip": False, "seed": 0},
    }


def test_images_out_of_memory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scores: training needs all images"):
        InstanceDependent(0.3, TrainedScores(tmp_path)).corrupt(LABELS, None, 10, torch.Generator())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "^scores.epochs must be at least 1, got 0$"),
        ({"batch_size": 1}, "^scores.batch_size must be at least 2, got 1$"),
        ({"lr": 0.0}, "^scores.lr must be above 0, got 0.0$"),
        ({"seed": -1}, "^scores.seed must be at least 0, got -1$"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainedScores(**arguments)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"^scores\.cache: cannot write to .*file: "):
        of(tmp_path / "file")


@pytest.mark.parametrize("backbone", ["tests.networks.Plain", None])
def test_a_configuration_can_ask_for_it(run: Callable[..., int], tmp_path: Path, backbone: str | None) -> None:
    scores: dict[str, Any] = {"cache": "kept", "epochs": 1}
    if backbone is not None:
        scores["backbone"] = {"class_path": backbone, "init_args": {"width": 8}}
    noise = {"class_path": "InstanceDependent", "init_args": {"rate": 0.3, "scores": scores}}
    assert run("fit", *SMALL[:2], *SMALL[6:], "--data.noise", json.dumps(noise), "--trainer.max_epochs", "1") == 0
    assert len(list((tmp_path / "kept").iterdir())) == 1
    summary = json.loads((tmp_path / "runs/default/0/noise.json").read_text())
    assert summary["realised_rate"] == round(0.3 * 1437) / 1437
    assert summary["arguments"]["scores"]["backbone"] == {
        "class_path": "Plain" if backbone else "SmallCNN",
        "init_args": {"width": 8 if backbone else 32},
    }
