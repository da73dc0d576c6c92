"""A user's own images through the command line: real digits as PNG files, some of them under wrong labels."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from noisy_lightning.data.sets import image_files
from noisy_lightning.runs.records import load

Run = Callable[..., int]
TRAIN, TEST, WRONG_EVERY = 200, 40, 4  # images; of four in training one is labeled as the next digit
RESULT = Path("runs/mine/0/result.json")


def pictures() -> list[tuple[Image.Image, int, int, str]]:
    """Return each picture with its true and its given label and the split that it is of."""
    digits = load_digits()
    found = []
    for number in range(TRAIN + TEST):
        true, split = int(digits.target[number]), "train" if number < TRAIN else "test"
        given = (true + 1) % 10 if split == "train" and number % WRONG_EVERY == 0 else true
        found.append((Image.fromarray((digits.images[number] * 15.9).astype("uint8")), true, given, split))
    return found


def write_config(name: str, **data: object) -> None:
    content = {
        "seed_everything": 0,
        "trainer": {"max_epochs": 2, "accelerator": "cpu", "devices": 1},
        "data": {
            "class_path": name,
            "init_args": {"image_size": 8, "channels": 1, "batch_size": 32, "val_fraction": 0.2, "seed": 0, **data},
        },
        "model": {
            "backbone": {"class_path": "tests.networks.Plain"},
            "loss": {"class_path": "GeneralizedCrossEntropy"},
            "optimizer": {"class_path": "SGD", "init_args": {"lr": 0.1, "momentum": 0.9}},
        },
    }
    Path("mine.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def folder(run: Run) -> str:
    """Write the pictures into a folder per given label, with a configuration for it, and return its path."""
    for number, (picture, _, given, split) in enumerate(pictures()):
        path = Path(f"images/{split}/{given}/{number:03}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    write_config("ImageFolder", root="images", cache="cache")
    return "mine.yaml"


@pytest.fixture
def table(run: Run) -> str:
    """Write the pictures into one folder and what is known of them into a table; every tenth label is checked."""
    Path("images").mkdir()
    with Path("images/labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "true_label", "split", "trusted"])
        for number, (picture, true, given, split) in enumerate(pictures()):
            picture.save(f"images/{number}.png")
            trusted = split == "train" and given == true and number % 5 == 1
            rows.writerow([f"{number}.png", given, true, split, int(trusted)])
    write_config("ImageTable", csv="images/labels.csv")
    return "mine.yaml"


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only error on standard error, which is its last line."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1]


def columns() -> set[str]:
    """Return what metrics.csv has columns for."""
    with Path("runs/mine/0/metrics.csv").open() as file:
        return set(next(csv.reader(file)))


def scalars() -> set[str]:
    """Return the tags of all curves on the board, those of a run within the run after its name."""
    run = Path("runs/mine/0")
    folders = {file.parent for file in run.rglob("events.out.tfevents.*")}
    return {
        (folder.relative_to(run) / tag).as_posix()
        for folder in folders
        for tag in EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    }


def test_a_folder_goes_through_all_commands(folder: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--config", folder) == 0
    assert "an unknown share of labels wrong" in capsys.readouterr().out
    assert run("noise", "--config", folder) == 0
    noise = json.loads(Path("noise/mine/noise.json").read_text())
    assert noise["realised_rate"] is None
    assert noise["num_samples"] == TRAIN
    assert run("fit", "--config", folder) == 0
    for command in ("validate", "test"):
        assert run(command, "runs/mine/0") == 0
    assert run("predict", "runs/mine/0", "best") == 0

    result = json.loads(RESULT.read_text())
    assert not result["oracle"]
    assert "NaN" not in RESULT.read_text()
    of_true_labels = {"train/auroc", "train/loss_clean", "train/loss_noisy", "train/memorised", "train/acc_true"}
    for tags in (columns(), scalars()):
        assert "train/acc" in tags
        assert not tags & (of_true_labels | {"val/acc_true"})
    assert not [tag for tag in scalars() if tag.partition("/")[0] in ("clean", "noisy", "true_labels")]
    assert load("runs/mine/0").loss.shape == (2, TRAIN)
    with np.load("runs/mine/0/predictions_best.npz") as predictions:
        assert (predictions["true_label"] == -1).all()


def test_a_second_run_decodes_nothing(folder: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("fit", "--config", folder) == 0
    assert len(list(Path("cache").iterdir())) == 2, "one file for training, one for the test set"
    monkeypatch.delattr(image_files, "decode")
    assert run("fit", "--config", folder) == 0
    first, second = (load(f"runs/mine/{version}").loss for version in (0, 1))
    assert first.tobytes() == second.tobytes()


def test_a_table_with_true_labels_is_measured_by(table: str, run: Run) -> None:
    assert run("fit", "--config", table) == 0
    assert run("test", "runs/mine/0") == 0
    noise = json.loads(Path("runs/mine/0/noise.json").read_text())
    assert noise["realised_rate"] == pytest.approx(1 / WRONG_EVERY)
    assert {"train/auroc", "train/loss_clean", "train/loss_noisy", "val/acc_true"} <= columns()
    assert {"train/auroc", "clean/train/loss", "noisy/train/loss", "true_labels/val/acc"} <= scalars()


def test_trusted_labels_validate(table: str, run: Run) -> None:
    assert run("fit", "--config", table, "--data.validation", "trusted") == 0
    with Path("runs/mine/0/noise.csv").open() as file:
        splits = [row["split"] for row in csv.DictReader(file)]
    with Path("images/labels.csv").open() as file:
        trusted = [row["trusted"] == "1" for row in csv.DictReader(file) if row["split"] == "train"]
    assert [split == "val" for split in splits] == trusted


def test_a_broken_image_is_named_or_skipped(folder: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    broken = next(Path("images/train/3").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    assert run("doctor", "--config", folder) == 1
    assert str(broken) in capsys.readouterr().out
    assert run("fit", "--config", folder) == 2
    message = error(capsys)
    assert str(broken) in message
    assert "data.broken skip" in message
    with pytest.warns(UserWarning, match="1 of 200 images are broken and left out"):
        assert run("fit", "--config", folder, "--data.broken", "skip") == 0
    assert json.loads(Path("runs/mine/0/noise.json").read_text())["realised_rate"] is None


@pytest.mark.parametrize("part", ["train", "test"])
def test_doctor_decodes_what_training_would_decode_late(
    part: str, folder: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    late = ("--data.cache_gib", "0", "--data.mean", "[0.5]", "--data.std", "[0.5]")
    assert run("doctor", "--config", folder, *late) == 0
    assert "200 training images can be read" in capsys.readouterr().out
    broken = next(Path(f"images/{part}/3").iterdir())
    broken.write_bytes(broken.read_bytes()[:60])
    assert run("doctor", "--config", folder, *late) == 1
    assert str(broken) in capsys.readouterr().out
    with pytest.warns(UserWarning, match="are broken and left out"):
        assert run("doctor", "--config", folder, *late, "--data.broken", "skip") == 0
    left = ", 1 are left out" if part == "train" else ""
    assert f"{200 - bool(left)} training images can be read{left}" in capsys.readouterr().out


def test_an_empty_folder_of_a_class_is_named(folder: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("images/train/none").mkdir()
    assert run("doctor", "--config", folder) == 1
    assert "images/train/none holds no image" in capsys.readouterr().out
    assert run("fit", "--config", folder) == 2
    assert "images/train/none holds no image" in error(capsys)


def test_doctor_reports_a_class_without_images(table: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write_config("ImageTable", csv="images/labels.csv", classes=[*map(str, range(10)), "none"])
    assert run("doctor", "--config", table) == 1
    assert re.search("no image to train on is labell?ed none: ", capsys.readouterr().out)


def test_true_labels_are_monitored_as_an_oracle_only(table: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = ("--monitor", "val/acc_true")
    assert run("fit", "--config", table, *monitor) == 2
    assert "val/acc_true needs true labels: --oracle true" in error(capsys)
    assert run("fit", "--config", table, *monitor, "--oracle", "true") == 0
    assert json.loads(RESULT.read_text())["oracle"] is True
    capsys.readouterr()
    assert run("test", "runs/mine/0") == 0
    assert "oracle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "where"),
    [
        (
            (
                "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStopping",
                "--trainer.callbacks.monitor=train/loss_noisy",
            ),
            "trainer.callbacks: EarlyStopping: train/loss_noisy",
        ),
        (
            (
                *("--model.lr_scheduler", "lightning.pytorch.cli.ReduceLROnPlateau"),
                *("--model.lr_scheduler.monitor", "val/acc_true"),
            ),
            "model.lr_scheduler.monitor: val/acc_true",
        ),
    ],
    ids=["callback", "scheduler"],
)
def test_nothing_else_looks_at_true_labels(
    options: tuple[str, ...], where: str, table: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", "--config", table, *options) == 2
    assert f"{where} needs true labels: --oracle true" in error(capsys)
    assert not Path("runs").exists()
    assert run("fit", "--config", table, *options, "--oracle", "true") == 0
    assert json.loads(RESULT.read_text())["oracle"] is True


@pytest.mark.parametrize(("rate", "oracle"), [("0.4", True), ("estimate", False)])
def test_a_method_that_is_given_the_rate_is_an_oracle(rate: str, oracle: bool, folder: str, run: Run) -> None:
    method = ("--model.method", "CoTeaching", "--model.method.forget_rate", rate)
    assert run("fit", "--config", folder, *method) == 0
    assert json.loads(RESULT.read_text())["oracle"] is oracle
