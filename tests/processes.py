"""Runs commands as a user does: in processes of their own."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path

import torch

from noisy_lightning import compat
from noisy_lightning.cli.main import main
from noisy_lightning.jobs.processes import PRELOADED

ROOT = Path(__file__).parents[1]
# What a test in this process may have set, and what must not reach another.
_OF_A_TEST = ("PL_GLOBAL_SEED", "LOCAL_RANK")


def noisy_lightning(
    *args: str, cwd: Path, launcher: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command, by a launcher if one is given, on one thread; return it with its output."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_A_TEST}
    loopback = {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.run(
        [sys.executable, *launcher, "-m", "noisy_lightning", *args],
        cwd=cwd,
        env=inherited | loopback | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def imported() -> ForkServerContext:
    """Return what starts a process as a copy of one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def forked(*args: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, too, but in a copy of a process that has imported everything, which takes seconds less.

    Not where the start matters, as it does with several devices: their further processes run the script again.
    """
    context = imported()
    with tempfile.TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = context.Process(target=_run, args=(args, cwd, environment, outputs))
        with compat.hidden_main():
            process.start()
        process.join()
        return subprocess.CompletedProcess(args, process.exitcode or 0, *(file.read_text() for file in outputs))


def _run(args: Sequence[str], cwd: Path, environment: Mapping[str, str], outputs: Sequence[Path]) -> None:
    os.chdir(cwd)
    for name in _OF_A_TEST:
        os.environ.pop(name, None)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    for descriptor, file in enumerate(outputs, start=1):
        with file.open("wb") as opened:
            os.dup2(opened.fileno(), descriptor)
    torch.set_num_threads(1)
    sys.exit(main(list(args)))
