"""noisy-lightning noise: the labels of a configuration without training."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

from noisy_lightning.cli.noise import _picture
from noisy_lightning.data import Digits, ImageFolder, LabelFile, Symmetric
from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.training.module import NoisyClassifier
from tests.conftest import SMALL
from tests.fabricated import enough, fabricate
from tests.processes import ROOT
from tests.test_configs import CONFIGS

Run = Callable[..., int]
FILES = {"noise.csv", "noise.json", "noise.png"}
DATA = {"class_path": "Digits", "init_args": {"noise": {"class_path": "Symmetric", "init_args": {"rate": 0.4}}}}


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Return a configuration as fit takes it, of a model that cannot be built."""
    content = {
        "seed_everything": 3,
        "trainer": {"max_epochs": 5},
        "model": {"backbone": {"class_path": "nowhere.Nothing"}},
        "recorder": {"pictures": False},
        "data": DATA,
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    return "mine.yaml"


def error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line of standard error."""
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    return line


def test_it_draws_what_fit_trains_on(run: Run, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL) == 0
    capsys.readouterr()
    assert run("noise", "--config", config) == 0
    folder = tmp_path / "noise/mine"
    assert {path.name for path in folder.iterdir()} == FILES
    for name in ("noise.csv", "noise.json"):
        assert (folder / name).read_bytes() == (tmp_path / "runs/default/0" / name).read_bytes()
    assert (folder / "noise.png").read_bytes().startswith(b"\x89PNG")
    again = Digits(noise=LabelFile(folder / "noise.csv"))
    again.setup("fit")
    assert again.noise_hash == read_manifest(folder)[0].label_hash

    printed = capsys.readouterr().out
    summary, _ = read_manifest(folder)
    assert summary.realised_rate is not None
    for expected in (
        "Digits, 1,437 training images in 10 classes",
        "Symmetric(rate=0.4, include_true=False, exact=none), seed 0",
        f"nominal 40.00 %, expected 40.00 %, realized {100 * summary.realised_rate:.2f} %",
        summary.label_hash,
        "true \\ given",
        "noise/mine: noise.csv, noise.json, noise.png",
    ):
        assert expected in printed
    rows = [line.split()[2:] for line in printed.splitlines() if line.startswith(" ")]
    assert len(rows) == 10
    for row, measured in zip(rows, summary.realised_matrix, strict=True):
        assert [float(cell) for cell in row] == pytest.approx([100 * share for share in measured], abs=0.051)


def test_options_override_the_file(run: Run, config: str, tmp_path: Path) -> None:
    options = ["--data.noise.rate", "0.6", "--data.seed", "2", "--trainer.max_epochs", "1", "--model.loss.alpha", "3"]
    assert run("noise", "--config", config, *options, "--out", "there") == 0
    entries = json.loads((tmp_path / "there/noise.json").read_text())
    assert (entries["nominal_rate"], entries["seed"]) == (0.6, 2)
    expected = Digits(noise=Symmetric(0.6), seed=2)
    expected.setup("fit")
    assert entries["label_hash"] == expected.noise_hash
    assert run("noise", "--config", config, "--run.experiment", "other") == 0
    assert (tmp_path / "noise/other/noise.csv").exists()


def test_no_more_than_data_is_needed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(yaml.safe_dump({"data": DATA}))
    assert run("noise", "--config", "data.yaml") == 0
    assert run("noise", "--data", "Digits", "--data.noise", "PairFlip", "--data.noise.rate", "0.1") == 0
    assert {path.name for path in (tmp_path / "noise").iterdir()} == {"data", "default"}


def test_no_model_is_built(run: Run, config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(NoisyClassifier, "__init__")
    assert run("noise", "--config", config) == 0


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_fit_is_taken(
    path: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate(monkeypatch, enough(path))
    monkeypatch.setattr("noisy_lightning.cli.noise.transition_matrices", lambda *_: Figure())  # other tests look at it
    assert run("noise", "--config", str(path)) == 0
    assert {file.name for file in (tmp_path / "noise" / path.stem).iterdir()} == FILES


def test_no_network_is_made_of_what_is_not_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One with weights of the hub would be downloaded."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network is made")

    fabricate(monkeypatch)
    monkeypatch.setattr("noisy_lightning.backbones.timm.Timm.__init__", refuse)
    assert run("noise", "--config", str(ROOT / "configs/study0_sce_efficientnet_b3.yaml")) == 0


def test_the_configuration_of_a_run_is_taken_and_its_folder_is_not(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    capsys.readouterr()
    resolved = "runs/default/0/config.yaml"
    assert run("noise", "--config", resolved, "--out", "again") == 0
    assert (tmp_path / "again/noise.csv").read_bytes() == (tmp_path / "runs/default/0/noise.csv").read_bytes()
    assert run("noise", "--config", resolved, "--out", "runs/default/0") == 2
    assert "out: runs/default/0 is the folder of a run" in error(capsys)


def test_labels_are_kept_from_other_ones(
    run: Run, config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("noise", "--config", config) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "noise/mine").iterdir()}
    assert run("noise", "--config", config) == 0
    assert run("noise", "--config", config, "--data.noise.rate", "0.5") == 2
    message = error(capsys)
    other = Digits(noise=Symmetric(0.5))
    other.setup("fit")
    for label_hash in (json.loads(before["noise.json"])["label_hash"], other.noise_hash):
        assert label_hash[:16] in message
    assert {path.name: path.read_bytes() for path in (tmp_path / "noise/mine").iterdir()} == before

    (tmp_path / "noise/mine/noise.csv").write_text("index,true")
    assert run("noise", "--config", config) == 2
    assert "out: noise/mine holds noise files that cannot be read" in error(capsys)
    assert (tmp_path / "noise/mine/noise.csv").read_text() == "index,true"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "data"),
        (["--config", "nowhere.yaml"], "nowhere.yaml"),
        (["--data", "Digit"], "did you mean Digits?"),
        (["--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "1.5"], "rate must be in [0, 1]"),
        (["--data", "Digits", "--data.noise", "Asymmetric", "--data.noise.rate", "x"], "data.noise.rate"),
        (["--data", "Digits", "--data.val_fraction", "1"], "data.val_fraction must be in [0, 1)"),
        (["--data", "Digits", "--noise", "PairFlip"], "unknown option --noise"),
        (["--data", "Digits", "--data.rate", "0.3"], "rate"),
        (["--data", "Digits", "--out", "file/below"], "out: cannot write to file/below"),
        (["--data", "CIFAR10", "--data.download", "false"], "CIFAR-10 is not in"),
        (["--config", "misspelt.yaml"], "dta"),
    ],
)
def test_what_cannot_work_ends_in_one_line(
    options: list[str], message: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "misspelt.yaml").write_text(yaml.safe_dump({"data": DATA, "dta": DATA}))
    assert run("noise", *options) == 2
    assert message in error(capsys)
    assert not (tmp_path / "noise").exists()


def test_help_lists_the_command_and_its_options(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert "noisy-lightning noise --config" in capsys.readouterr().out
    for options, expected in {("--help",): "--out", ("--data.help", "Digits"): "--data.noise"}.items():
        assert run("noise", *options) == 0
        assert expected in capsys.readouterr().out


def test_where_no_truth_is_known_the_picture_counts_labels(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / f"images/{'ab'[number % 2]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 30 * number).save(path)
    data = ImageFolder(root=tmp_path / "images", image_size=8, channels=1, val_fraction=0)
    data.setup("fit")
    (axes,) = _picture(data, data.noise_summary()).axes
    (legend,) = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert legend == "given (n = 6)"
    assert [bar.get_height() for bar in axes.patches] == [3, 3]  # type: ignore[attr-defined]
