"""noisy-lightning doctor: what is wrong with a configuration on this machine."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from noisy_lightning.cli import doctor as doctor_command
from noisy_lightning.cli.doctor import _classes
from noisy_lightning.data import Digits, Symmetric
from tests.fabricated import fabricate
from tests.test_configs import CONFIGS

Run = Callable[..., int]
SYMMETRIC = ("--data.noise", "Symmetric", "--data.noise.rate", "0.4")


def findings(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what was found well and what not, by topic."""
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.strip().splitlines()[:-1]]
    assert {line[0] for line in lines} <= {"ok", "PROBLEM"}
    well, wrong = ({topic: text for kind, topic, text in lines if kind == name} for name in ("ok", "PROBLEM"))
    return well, wrong


def test_a_class_whose_only_image_is_validated_on_is_named() -> None:
    data: Any = SimpleNamespace(
        labels=torch.tensor([0, 1, 1]), train_indices=torch.tensor([1, 2]), num_classes=2, class_names=["cat", "dog"]
    )
    finding = _classes(data)
    assert finding.is_problem
    assert finding.text.startswith("no image to train on is labeled cat: ")


def test_a_sound_configuration_passes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "Digits", *SYMMETRIC, "--data.test_sets", "{again: Digits}") == 0
    well, wrong = findings(capsys)
    assert not wrong
    data = Digits(noise=Symmetric(0.4))
    data.setup("fit")
    assert well["labels"].startswith(
        "Digits: 1,437 training images of 8×8×1 in 10 classes, 38.76 % of the labels wrong"
    )
    assert well["split"] == f"{len(data.train_indices):,} images to train on, {len(data.val_indices):,} to validate on"
    assert well["tests"] == "360 test images, 360 test images of again"
    assert well["devices"].startswith("1 × ")
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_fit_is_taken(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate(monkeypatch)
    code = run("doctor", "--config", str(path))
    _, wrong = findings(capsys)
    assert set(wrong) <= {"classes"}, "60 fabricated images in 100 classes lack some"
    assert code == bool(wrong)


def test_keys_of_the_trainer_that_cannot_work_are_found(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "Digits", "--trainer.max_epochs", "0") == 1
    _, wrong = findings(capsys)
    assert wrong == {"trainer": "trainer.max_epochs must be at least 1, or -1 for no limit, got 0"}


def test_missing_files_are_named_and_not_downloaded(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("doctor", "--data", "MNIST", "--data.test_sets", "{other: CIFAR10}") == 1
    _, wrong = findings(capsys)
    assert "MNIST is not in" in wrong["files"]
    assert "train-images-idx3-ubyte" in wrong["files"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("broken", "gib"), [("error", "8"), ("skip", "8"), ("skip", "0")])
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:1 of 3 images are broken")
def test_a_pipe_among_images_is_a_problem_and_not_waited_for(
    broken: str, gib: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    os.mkfifo(tmp_path / "c.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,a\nb.png,b\nc.png,b\n")
    table = ("--data", "ImageTable", "--data.csv", "t.csv", "--data.image_size", "4", "--data.validation", "none")
    assert run("doctor", *table, "--data.broken", broken, "--data.cache_gib", gib) == (broken == "error")
    well, wrong = findings(capsys)
    if broken == "error":
        assert wrong == {"files": "data.csv: t.csv, line 4: there is no file c.png"}
    else:
        assert well["images"] == "2 training images can be read, 1 are left out"


def test_labels_of_another_order_are_a_problem(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Digits()
    data.setup("fit")
    rows = [f"{label},{label}" for label in data.true_labels.flip(0).tolist()]
    (tmp_path / "labels.csv").write_text("label,label_noisy\n" + "\n".join(rows))
    assert run("doctor", "--data", "Digits", "--data.noise", "LabelFile", "--data.noise.path", "labels.csv") == 1
    well, wrong = findings(capsys)
    assert "another order" in wrong["labels"]
    assert "files" in well
    assert "split" not in well, "what hangs on it is not looked at"


def test_a_class_without_a_label_is_a_problem(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = torch.eye(10)
    rows[3], rows[8] = rows[1], rows[2]
    (tmp_path / "matrix.json").write_text(str(rows.tolist()))
    noise = ("--data.noise", "TransitionMatrix", "--data.noise.matrix", "matrix.json")
    assert run("doctor", "--data", "Digits", *noise) == 1
    _, wrong = findings(capsys)
    assert wrong["classes"].startswith("no image to train on is labeled 3, 8: ")


def test_devices_that_are_not_there_are_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert run("doctor", "--data", "Digits", "--trainer.accelerator", "gpu") == 1
    _, wrong = findings(capsys)
    assert set(wrong) == {"devices"}


def test_too_little_disk_or_memory_is_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1))
    free = 1437 * 64 + 1000  # enough for the images as they are
    monkeypatch.setattr(doctor_command, "_available_memory", lambda: free)
    assert run("doctor", "--data", "Digits") == 1
    _, wrong = findings(capsys)
    assert "--run.root" in wrong["disk"]
    assert "--data.workers" in wrong["memory"]
    assert run("doctor", "--data", "Digits", "--data.workers", "1") == 1
    _, wrong = findings(capsys)
    assert set(wrong) == {"disk"}


def test_what_does_not_fit_in_memory_is_not_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "_available_memory", lambda: 1000)
    monkeypatch.setattr(Digits, "load", lambda self, train: pytest.fail("it was read"))
    assert run("doctor", "--data", "Digits", "--data.workers", "1") == 1
    well, wrong = findings(capsys)
    assert set(wrong) == {"memory"}
    assert "--data.cache_gib 0" in wrong["memory"]
    assert "labels" not in well


def test_a_configuration_that_cannot_be_read_is_an_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "Digit") == 2
    assert "did you mean Digits?" in capsys.readouterr().err
    assert run("doctor", "--config", "nowhere.yaml") == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_the_configuration_of_a_file_with_its_trainer_is_read(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"trainer": {"accelerator": "cpu", "devices": 2}, "data": {"class_path": "Digits"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert run("doctor", "--config", "mine.yaml", "--run.root", "elsewhere") == 0
    well, _ = findings(capsys)
    assert well["devices"].startswith("2 × cpu")
    assert "elsewhere" in well["disk"]
