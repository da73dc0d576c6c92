"""The package where Unix's own modules are absent, as on Windows: played by a process that cannot import them."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT

# Runs the command lines that it is given as JSON, and writes their exit codes.
WITHOUT_UNIX = """
import json, sys
from pathlib import Path

class Absent:
    names = ("fcntl", "grp", "pwd", "resource", "termios")

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for name in Absent.names:
    sys.modules.pop(name, None)

import noisy_lightning
from noisy_lightning.cli.main import main

def code(line):
    try:
        return main(line)
    except SystemExit as end:  # of a help
        return end.code

Path("codes.json").write_text(json.dumps([code(line) for line in json.loads(sys.argv[1])]))
"""
COMMANDS = ("fit", "validate", "test", "predict", "export", "noise", "clean", "sweep", "report", "doctor")
TRAINING = (
    *("fit", "--data", "Digits", "--model.backbone", "tests.networks.Plain", "--trainer.accelerator", "cpu"),
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"),
)


def test_every_help_and_a_run_work_where_modules_of_unix_are_absent(tmp_path: Path) -> None:
    lines = [["--help"], *([command, "--help"] for command in COMMANDS), TRAINING]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_UNIX, json.dumps(lines)],
        cwd=tmp_path,
        # Of a user without a name in the environment, Python itself asks a module of Unix.
        env={**os.environ, "USER": "somebody", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    codes = json.loads((tmp_path / "codes.json").read_text())
    assert not any(codes), list(zip(lines, codes, strict=True))
    assert all(f"usage: noisy-lightning {command}" in done.stdout for command in ("noise", "clean", "sweep", "report"))
    result = json.loads((tmp_path / "runs/default/0/result.json").read_text())
    assert result["epochs"] == 1
    assert result["peak_memory_mib"] is None
