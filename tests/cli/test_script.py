"""Commands that a script calls, without `if __name__ == "__main__"`: none of their processes runs the script again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from noisy_lightning.errors import reading
from tests.conftest import SMALL
from tests.processes import ROOT

SHORT = (*SMALL, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1")
SCRIPT = f"""
print("the script runs", flush=True)

from noisy_lightning.cli.main import main

options = {SHORT!r}
codes = [main(["fit", *options, "--run.experiment", "base"])]
codes.append(main(["sweep", "--config", "grid.yaml"]))
codes.append(main(["clean", *options, "--selector", "NoisyCrossValidation", "--run.experiment", "labels"]))
print("codes", codes)
"""


def _run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python of its own in a folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_script_without_a_guard_runs_once_whatever_commands_it_calls(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "grid.yaml").write_text("config: runs/base/0/config.yaml\nseeds: [1]\n")
    done = _run(tmp_path, "script.py")
    assert "codes [0, 0, 0]" in done.stdout, done.stderr
    written = [done.stdout, done.stderr, *(path.read_text() for path in tmp_path.rglob("*.log"))]
    assert sum(text.count("the script runs") for text in written) == 1
    (row,) = json.loads((tmp_path / "runs/grid/sweep.json").read_text())["runs"]
    assert "test" in json.loads((tmp_path / "runs/grid" / row["name"] / "result.json").read_text())
    assert (tmp_path / "runs/labels/0/selection.csv").is_file()


def test_a_command_looks_for_no_garbage_while_it_imports(tmp_path: Path) -> None:
    code = (
        "import gc, sys\nfrom noisy_lightning.cli.main import main\n"
        "sought = []\ngc.callbacks.append(lambda phase, info: sought.append(len(gc.get_objects())))\n"
        "sys.argv[1:] = ['doctor', '--config', 'demo']\nassert main() == 0\n"
        "print(gc.isenabled(), gc.get_freeze_count() > 100_000, max(sought, default=0) < 200_000)"
    )
    done = _run(tmp_path, "-c", code)
    assert done.stdout.splitlines()[-1] == "True True True", done.stdout + done.stderr
    assert "leak" not in done.stderr


def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(tmp_path: Path) -> None:
    seen, written = os.pipe()
    os.close(seen)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "noisy_lightning", "configs"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=written, stderr=subprocess.PIPE, check=False)
    os.close(written)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_reader_that_has_seen_enough_is_not_a_damaged_file() -> None:
    with pytest.raises(BrokenPipeError), reading("result.json"):
        raise BrokenPipeError
