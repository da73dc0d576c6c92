"""Runs commands as a user does: in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def noisy_lightning(
    *args: str, cwd: Path, launcher: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command, by a launcher if one is given, on one thread; return it with its output."""
    # What a test in this process has set must not reach a new process group.
    inherited = {name: value for name, value in os.environ.items() if name not in ("PL_GLOBAL_SEED", "LOCAL_RANK")}
    loopback = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, *launcher, "-m", "noisy_lightning", *args],
        cwd=cwd,
        env=inherited | loopback | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
