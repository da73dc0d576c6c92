"""What git, pip and a new colleague see of this repository."""

import subprocess

import pytest

from tests.processes import ROOT


def test_git_ignores_no_file_of_the_package() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: nothing says what git would ignore")
    folders = ("noisy_lightning", "configs", "tests", "notebooks")
    paths = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    ]
    # What is tracked counts, too: git would ignore the next file beside it.
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    ignored = subprocess.run(command, cwd=ROOT, input="\n".join(paths), capture_output=True, text=True, check=False)
    assert ignored.stdout.splitlines() == []
    room = subprocess.run([*command[:3], "noisy_lightning/runs/folder.py"], cwd=ROOT, capture_output=True, check=False)
    assert room.returncode == 1
