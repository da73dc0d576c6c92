"""Runs commands as a user does: in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def noisy_lightning(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command and return it with its output, on one thread, so that side by side is no slower."""
    # What a test in this process has set must not reach a new process group.
    inherited = {name: value for name, value in os.environ.items() if name not in ("PL_GLOBAL_SEED", "LOCAL_RANK")}
    loopback = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, "-m", "noisy_lightning", *args],
        cwd=cwd,
        env=inherited | loopback | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
