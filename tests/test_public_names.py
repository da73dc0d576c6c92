"""The front door to Python: names that are there when they are asked for, typed, and no path to a configuration."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import noisy_lightning
from noisy_lightning.cli.keys import resolved
from tests.processes import ROOT


def test_every_public_name_can_be_imported() -> None:
    for name in noisy_lightning.__all__:
        assert getattr(noisy_lightning, name) is not None
    assert set(noisy_lightning.__all__) <= set(dir(noisy_lightning))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = noisy_lightning.nothing


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, noisy_lightning; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "lightning", "numpy"} & set(eval(done.stdout))


def test_names_are_typed(tmp_path: Path) -> None:
    names = noisy_lightning.__all__
    (tmp_path / "use.py").write_text(
        f"from noisy_lightning import {', '.join(names)}\n"
        "data = Digits(noise=noise.Symmetric(0.4))\n"
        "reveal_type(data)\n"
        "reveal_type(NoisyClassifier.for_data(data))\n"
        "reveal_type(load_records('x').loss)\n" + "".join(f"reveal_type({name})\n" for name in names)
    )
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(tmp_path / "use.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 'Revealed type is "noisy_lightning.data.sets.digits.Digits"' in done.stdout, done.stdout
    assert "noisy_lightning.training.module.NoisyClassifier" in done.stdout
    assert "numpy.ndarray" in done.stdout
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)[3:]
    assert [name for name, kind in zip(names, revealed, strict=True) if kind == "Any"] == []


def test_a_configuration_keeps_the_paths_that_it_has_always_had() -> None:
    config = resolved(
        [
            *("--data", "noisy_lightning.Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4"),
            *("--model.backbone", "SmallCNN", "--model.loss", "SCE", "--model.method", "ELR"),
            *("--data.test_sets", "{mnist: MNIST}"),
        ]
    )
    data, model = config["data"], config["model"]
    assert data["class_path"] == "noisy_lightning.data.Digits"
    assert data["init_args"]["noise"]["class_path"] == "noisy_lightning.data.Symmetric"
    assert data["init_args"]["test_sets"]["mnist"]["class_path"] == "noisy_lightning.data.MNIST"
    assert model["backbone"]["class_path"] == "noisy_lightning.backbones.SmallCNN"
    assert model["loss"]["class_path"] == "noisy_lightning.losses.SymmetricCrossEntropy"
    assert model["method"]["class_path"] == "noisy_lightning.methods.EarlyLearningRegularization"


@pytest.mark.parametrize("data", ["Digits", "noisy_lightning.Digits", "noisy_lightning.data.sets.digits.Digits"])
def test_a_name_and_its_alias_are_one_run(data: str) -> None:
    aliases = resolved(["--data", data, "--model.loss", "SCE", "--model.method", "D2L"])
    assert aliases == resolved(
        ["--data", "Digits", "--model.loss", "SymmetricCrossEntropy", "--model.method", "DimensionalityDriven"]
    )
