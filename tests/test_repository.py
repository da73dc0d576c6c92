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


# What several modules do together, or every class of a family promises: folder, and names after `test_`.
_TOPICS = {
    "": "configs cuda damaged_files imports installation notebooks platforms public_names readme real_data repository",
    "backbones": "contract",
    "cli": "script",
    "data": "import",
    "data/noise": "contract names",
    "data/sets": "training_on_files",
    "losses": "algebra contract formulas",
    "methods": "checkpoint_keys contract",
    "training": "distributed fine_tuning resume",
}


def test_each_file_of_tests_lies_where_its_module_lies_and_has_its_name() -> None:
    topics = {
        ROOT / "tests" / folder / f"test_{name}.py" for folder, names in _TOPICS.items() for name in names.split()
    }
    files = set((ROOT / "tests").rglob("test_*.py"))
    assert topics <= files
    for file in files - topics:
        place = (ROOT / "noisy_lightning" / file.relative_to(ROOT / "tests")).parent / file.stem.removeprefix("test_")
        assert place.with_suffix(".py").is_file() or place.is_dir(), file
