import subprocess
from pathlib import Path

import pytest

from noisy_lightning.runs import environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a package in a repository of its own, from which this one seems to run."""
    package = tmp_path / "noisy_lightning"
    (package / "runs").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(environment, "__file__", str(package / "runs/environment.py"))
    _git(tmp_path, "init", "--quiet")
    return package


def _git(folder: Path, *args: str) -> str:
    options = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *options, *args], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_commit_with_changes_is_marked(checkout: Path) -> None:
    _git(checkout, "add", "--all")
    _git(checkout, "commit", "--quiet", "--message", "first")
    commit = _git(checkout, "rev-parse", "HEAD")
    assert environment.git_commit() == commit
    (checkout.parent / "notes.txt").touch()  # beside the package
    assert environment.git_commit() == commit
    (checkout / "__init__.py").write_text("changed = True")
    assert environment.git_commit() == f"{commit}+"


def test_a_repository_around_an_installed_package_is_not_its_own(checkout: Path) -> None:
    (checkout.parent / "notes.txt").touch()
    _git(checkout.parent, "add", "notes.txt")
    _git(checkout.parent, "commit", "--quiet", "--message", "notes")
    assert environment.git_commit() is None
