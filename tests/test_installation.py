"""What pip installs is whole: from a wheel, from a source distribution, and in place."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ONE_BATCH = ("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1", "--trainer.accelerator", "cpu")


def test_every_folder_of_the_package_is_installed() -> None:
    folders = {path.parent for path in (ROOT / "noisy_lightning").rglob("__init__.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    configurations = {"noisy_lightning.configs", "noisy_lightning.configs.sweeps"}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages | configurations


def test_every_file_that_is_no_code_is_installed() -> None:
    listed = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "noisy_lightning").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            package = ".".join(path.parent.relative_to(ROOT).parts)
            assert any(path.match(pattern) for pattern in listed[package]), path


def test_dependencies_that_the_constraints_name_are_within_their_bounds() -> None:
    from packaging.requirements import Requirement  # noqa: PLC0415  # comes with pytest

    lines = (ROOT / ".constraints.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if "==" in line)
    wanted = list(PROJECT["project"]["dependencies"])
    wanted += [one for extra in PROJECT["project"]["optional-dependencies"].values() for one in extra]
    for requirement in map(Requirement, wanted):
        if requirement.name != "noisy_lightning":
            assert requirement.specifier.contains(tested[requirement.name.lower()]), requirement


def _pip(*args: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _run(place: Path, folder: Path, *args: str) -> str:
    """Run a command of the package that lies in a place, from another folder."""
    done = subprocess.run(
        [sys.executable, "-m", "noisy_lightning", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_what_is_installed_trains_from_an_empty_folder(kind: str, tmp_path: Path) -> None:
    source, place, empty = tmp_path / "source", tmp_path / "place", tmp_path / "empty"
    empty.mkdir()
    # A copy, since a build leaves its traces beside the code.
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, files.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    if kind == "sdist":
        code = "import setuptools.build_meta as backend; print(backend.build_sdist('dist'))"
        subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, check=True)
        (source,) = (source / "dist").glob("*.tar.gz")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    assert "sce_resnet18" in _run(place, empty, "configs")
    assert "DivideMix" in _run(place, empty, "list", "methods")
    _run(place, empty, "fit", "--config", "demo", *ONE_BATCH)
    assert "test accuracy" in _run(place, empty, "test", "runs/demo/0")
    assert "18 runs of" in _run(place, empty, "sweep", "--config", "digits", "--dry-run")
