"""The classifier of a run in one file, which programs without this package, or without torch, can use."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import final

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from noisy_lightning import Digits, backbones, load_run
from noisy_lightning.training import export_formats
from tests.conftest import SMALL
from tests.networks import Plain
from tests.processes import ROOT

Run = Callable[..., int]
SHORT = (*SMALL, "--trainer.max_epochs", "1")
ONCE = ("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--recorder.pictures", "false")

(WITHOUT_TORCH,) = re.findall(r"```python\n(.*?onnxruntime.*?)```", (ROOT / "configs/README.md").read_text(), re.DOTALL)
# Runs code for which packages are not there.
ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def _without(packages: tuple[str, ...], code: str, cwd: Path) -> list[str]:
    """Return the lines that code prints in a process that cannot import some packages."""
    command = [sys.executable, "-c", ABSENT.format(absent=packages) + code]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Return a folder of photographs in two classes."""
    generator = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / f"photographs/train/{('dark', 'light')[number % 2]}/{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((generator.random((30, 24, 3)) * (90 + number % 2 * 165)).astype(np.uint8)).save(path)
    return tmp_path / "photographs"


def _of_all_kinds(folder: Path) -> list[Path]:
    """Write photographs that differ from what a network takes in every way, and return their paths."""
    generator = np.random.default_rng(1)
    color = Image.fromarray(generator.integers(0, 256, (8, 11, 3)).astype(np.uint8)).resize((330, 250))
    turned = Image.Exif()
    turned[0x0112] = 6
    palette = color.quantize(16)
    palette.info["transparency"] = 0
    pictures: dict[str, Image.Image] = {
        "turned.jpg": color,
        "gray.png": color.convert("L"),
        "transparent.png": color.convert("RGBA"),
        "palette.png": palette,
        "print.jpg": color.convert("CMYK"),
        "deep.png": Image.fromarray(np.asarray(color.convert("L")).astype(np.uint16) * 257),
    }
    pictures["transparent.png"].putalpha(color.convert("L"))
    for name, picture in pictures.items():
        picture.save(folder / name, exif=turned if name == "turned.jpg" else Image.Exif())
    return [folder / name for name in pictures]


def test_a_file_of_onnx_classifies_photographs_where_there_is_no_torch(
    photographs: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", "ImageFolder", "--data.root", str(photographs), "--data.image_size", "[12, 16]")
    batches = ("--data.crop_margin", "2", "--data.val_fraction", "0.25", "--data.batch_size", "6")
    assert run("fit", *data, *batches, "--model.backbone", "SmallCNN", *ONCE) == 0
    assert run("export", "runs/default/0") == 0
    shown = capsys.readouterr().out
    assert "takes    image: uint8 (batch, 3, 16, 20), RGB, 0 to 255; it is normalized inside" in shown
    assert "checked  on 24 training images, by onnxruntime" in shown
    assert "the predicted class is the same for 24 of 24" in shown
    file = tmp_path / "runs/default/0/model_best.onnx"
    about = json.loads(file.with_name("model_best.onnx.json").read_text())
    assert about["class_names"] == ["dark", "light"]
    opened = load_run("runs/default/0")
    for path in _of_all_kinds(tmp_path):
        code = WITHOUT_TORCH.replace("photo.jpg", path.name).replace("model_best.onnx", str(file))
        (line,) = _without(("torch", "noisy_lightning"), code, tmp_path)
        with torch.no_grad():
            probability = opened.model(opened.transform(path).unsqueeze(0)).softmax(1)[0]
        name, found = line.split()
        assert name == opened.class_names[int(probability.argmax())], path.name
        assert float(found) == pytest.approx(float(probability.max()), abs=1e-5), path.name


OF_TORCH_ALONE = """
import json
import torch

files = {"model.json": ""}
model = torch.export.load("model.pt2", extra_files=files).module()
image = torch.load("images.pt")
torch.save(torch.cat([model(image[:1]), model(image[1:])]), "found.pt")
print(json.loads(files["model.json"])["class_names"][3])
"""


def test_a_program_of_torch_predicts_what_predict_does_where_this_package_is_not(run: Run, tmp_path: Path) -> None:
    assert run("fit", *SHORT, "--model.method", "EarlyLearningRegularizationPlus") == 0
    assert run("predict", "runs/default/0", "last") == 0
    assert run("export", "runs/default/0", "last", "--format", "torch", "--out", "model.pt2") == 0
    images = Digits().load(train=True).images[torch.arange(50)].permute(0, 3, 1, 2).contiguous()
    torch.save(images, tmp_path / "images.pt")
    assert _without(("noisy_lightning", "lightning", "timm"), OF_TORCH_ALONE, tmp_path) == ["3"]
    expected = np.load(tmp_path / "runs/default/0/predictions_last.npz")["probability"][:50]
    np.testing.assert_allclose(torch.load(tmp_path / "found.pt").numpy(), expected, rtol=0, atol=1e-5)
    kept = torch.export.load(tmp_path / "model.pt2").state_dict
    networks = sum(value.numel() for value in 2 * [*Plain(10, 1).state_dict().values()])
    assert sum(value.numel() for value in kept.values()) == networks + 2  # and how pixels are normalized


def test_weights_alone_start_a_network_of_timm(run: Run, tmp_path: Path) -> None:
    network = ("--model.backbone", "Timm", "--model.backbone.name", "test_resnet")
    options = (*SHORT, *network, "--trainer.limit_train_batches", "1", "--model.method", "JoCoR")
    assert run("fit", *options, "--model.method.forget_rate", "0.2") == 0
    assert run("export", "runs/default/0", "--format", "safetensors", "--out", "made/here/weights.safetensors") == 0
    file = tmp_path / "made/here/weights.safetensors"
    assert file.stat().st_mode & 0o044
    assert {path.name for path in file.parent.iterdir()} == {file.name, f"{file.name}.json"}
    about = json.loads(file.with_name(f"{file.name}.json").read_text())
    assert about["backbone"]["init_args"]["name"] == "test_resnet"
    made = backbones.Timm(10, 1, "test_resnet", weights=str(file)).eval()
    opened = load_run("runs/default/0")
    image = opened.transform(np.full((8, 8), 99, np.uint8)).unsqueeze(0)
    with torch.no_grad():
        torch.testing.assert_close(made(image), opened.model(image))
    run_again = (*SHORT, *network, "--model.backbone.weights", str(file), "--trainer.limit_train_batches", "1")
    assert run("fit", *run_again) == 0


def _features(tmp_path: Path) -> tuple[str, ...]:
    network = ("--data.network", "Timm", "--data.network.name", "test_resnet", "--data.network.image_size", "16")
    data = ("--data", "Embedded", "--data.data", "Digits", *network, "--data.stages", "2")
    classifier = (
        "--model.backbone",
        "noisy_lightning.backbones.MLP",
        "--model.backbone.hidden",
        "[8]",
        "--model.optimizer",
        "Adam",
    )
    return (*data, "--data.cache", str(tmp_path / "c"), *classifier, *ONCE)


def test_the_frozen_network_of_features_is_inside(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *_features(tmp_path)) == 0
    assert run("export", "runs/default/0", "--format", "torch") == 0
    shown = capsys.readouterr().out
    assert "takes    image: uint8 (batch, 1, 8, 8), L" in shown
    assert "up to 0.0e+00, the predicted class is the same for 100 of 100" in shown
    assert run("export", "runs/default/0") == 0
    shown = capsys.readouterr().out
    assert "the frozen network computes in float32 here, and in bfloat16 in the run" in shown
    assert int(shown.partition("is the same for ")[2].split()[0]) > 80
    assert run("export", "runs/default/0", "--format", "safetensors") == 0
    about = json.loads((tmp_path / "runs/default/0/model_best.safetensors.json").read_text())
    assert about["features"]["network"]["init_args"]["name"] == "test_resnet"
    assert len(about["features"]["mean"]) == 96 + 128 + 160


@final
class Branching(nn.Module):
    """Decides by what it sees, which no exporter can follow."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image.mean((2, 3)))
        return logits if float(image.sum()) > 0 else -logits


@final
class Restless(nn.Module):
    """Predicts something else each time."""

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layer = nn.Linear(in_channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image.mean((2, 3)))
        return logits + torch.rand_like(logits)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("Branching", "error: Branching cannot be written as torch: "),
        ("Restless", "error: the exported file does not predict what the run does: probabilities differ by up to 0."),
    ],
)
def test_what_cannot_be_exported_leaves_a_line_and_no_file(
    network: str, message: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--model.backbone", f"tests.cli.test_export.{network}", "--trainer.limit_train_batches", "1")
    assert run("fit", *SHORT, *options) == 0
    capsys.readouterr()
    assert run("export", "runs/default/0", "--format", "torch") == 2
    error = capsys.readouterr().err
    assert error.startswith(message)
    assert len(error.splitlines()) == 1
    assert not [path for path in (tmp_path / "runs/default/0").iterdir() if "model" in path.name]


def test_arguments_that_cannot_work_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SHORT, "--trainer.limit_train_batches", "1") == 0
    for options, message in {
        ("nowhere",): "nowhere is not the folder of a run",
        ("runs/default/0", "middle"): "no checkpoint middle",
        ("runs/default/0", "--format", "pickle"): "format",
        ("runs/default/0", "--format", "torch", "--out", "runs"): "out: runs is a folder: name a file",
        ("runs/default/0", "--format", "torch", "--out", "model.onnx"): "out: a file of --format torch ends in .pt2",
        (): "export needs a run: noisy-lightning export runs/",
        ("--format", "torch"): "export needs a run: noisy-lightning export runs/",
    }.items():
        assert run("export", *options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
    monkeypatch.setattr(export_formats, "find_spec", lambda name: None)
    assert run("export", "runs/default/0") == 2
    assert "needs onnx and onnxscript: pip install 'noisy_lightning[export]'" in capsys.readouterr().err


def test_where_the_images_are_gone_others_are_compared_and_named(
    photographs: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", "ImageFolder", "--data.root", str(photographs), "--data.image_size", "8")
    assert run("fit", *data, "--data.batch_size", "6", "--model.backbone", "tests.networks.Plain", *ONCE) == 0
    photographs.rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run("export", "runs/default/0", "--format", "safetensors") == 0
    shown = capsys.readouterr().out
    assert "checked  on 100 random images, since those of the data set are not there: " in shown
    assert "for 100 of 100" in shown


def test_without_onnxruntime_the_evaluator_of_onnx_reads_the_file(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SHORT, "--trainer.limit_train_batches", "1") == 0
    monkeypatch.setattr(export_formats, "find_spec", lambda name: None if name == "onnxruntime" else find_spec(name))
    assert run("export", "runs/default/0", "--out", "model.onnx") == 0
    shown = capsys.readouterr().out
    assert "checked  on 10 test images, by onnx's own evaluator" in shown
    assert "for 10 of 10" in shown
