"""Kills training runs, starts each again by the same command, and compares what comes out with an uninterrupted run.

An early death is a SIGKILL at one of the first changes that a run makes to its files: one run dies at the first file
that it opens to write, renames, makes or removes, the next at the second, and so on. The others die at random moments.
Nothing may be lost: weights, metrics, records and result are those of the uninterrupted run bit for bit, in the one
folder, with no file left unfinished.

    python -m tests.tools.kills --early 50 --kills 100
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisy_lightning import compat
from noisy_lightning.cli.main import main as command_line
from noisy_lightning.runs.files import is_unfinished
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.records import load
from tests.processes import ROOT, imported

# Dropout, batch normalization, momentum, a schedule, augmentation, checkpoints within epochs.
COMMAND = (
    *("fit", "--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "200"),
    *("--data.crop_padding", "1", "--data.horizontal_flip", "true", "--run.checkpoint_every_n_steps", "3"),
    *("--model.backbone", "tests.networks.Random", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"),
    *("--model.optimizer.momentum", "0.9", "--model.lr_scheduler", "CosineAnnealingLR"),
    *("--model.lr_scheduler.T_max", "0", "--trainer.max_epochs", "4", "--trainer.accelerator", "cpu"),
    *("--trainer.devices", "1", "--recorder.pictures", "false"),
)
_RUN = Path("runs/default/0")
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")
_OTHERWISE = ("seconds", "images_per_second", "peak_memory", "git_commit")  # in the name of what may differ


def run_alone(folder: Path, early: int = 0, after: float = 0.0) -> int:
    """Run the command in a folder, by a process of its own, and return its exit code.

    Args:
        folder: Where.
        early: Kill it at this change to a file, counted from 1; 0: at none.
        after: Kill it after as many seconds; 0: never.
    """
    process = imported().Process(target=_train, args=(folder, early))
    with compat.hidden_main():
        process.start()
    if after:
        process.join(after)
        process.kill()
    process.join()
    return process.exitcode or 0


def _train(folder: Path, early: int) -> None:
    os.chdir(folder)
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with Path("output.txt").open("ab") as output:
        for descriptor in (1, 2):
            os.dup2(output.fileno(), descriptor)
    torch.set_num_threads(1)
    if early:
        sys.addaudithook(_killing_at(early, folder / "runs"))
    sys.exit(command_line(list(COMMAND)))


def _killing_at(count: int, root: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that kills this process at a change, counted from 1, to what lies below a folder."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if not (writes or event in _CHANGES) or not isinstance(arguments[0], str | Path):
            return
        if root in (path := Path(arguments[0]).absolute()).parents or path == root:
            seen += 1
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def outcome(folder: Path) -> dict[str, Any]:
    """Return what a run has left, without what differs from one run to the next."""
    run = folder / _RUN
    state = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    result = json.loads((run / "result.json").read_text())
    records = load(run)
    return {
        "weights": {name: value.numpy() for name, value in state.items()},
        "metrics.csv": (run / "metrics.csv").read_text(),
        "noise.csv": (run / "noise.csv").read_text(),
        "result.json": {key: value for key, value in result.items() if not any(word in key for word in _OTHERWISE)},
        "records": {name: getattr(records, name) for name in ("loss", "confidence", "margin", "prediction", "kept")},
        "files": sorted(str(path.relative_to(run)) for path in run.rglob("*") if "tfevents" not in path.name),
        "runs": sorted(path.name for path in run.parent.iterdir() if path.is_dir()),
        "unfinished": [str(path) for path in (folder / "runs").rglob("*") if is_unfinished(path)],
    }


def lost(expected: dict[str, Any], folder: Path) -> list[str]:
    """Return what of an outcome a folder does not have, a line each; none: all is there."""
    try:
        found = outcome(folder)
    except (OSError, ValueError, KeyError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [f"{name} differs" for name, value in expected.items() if not _same(value, found[name])]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def tried(expected: dict[str, Any], early: int = 0, after: float = 0.0) -> tuple[bool, list[str]]:
    """Kill one run and start it again, and return whether it was killed before its end, and what it then lacked."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        code = run_alone(folder, early, after)
        if code not in (0, -signal.SIGKILL):
            return False, [f"it ended by itself with {code}: {(folder / 'output.txt').read_text()[-300:]}"]
        if RunFolder(folder / _RUN).finished:  # the same command would begin another one
            return False, lost(expected, folder)
        if again := run_alone(folder):
            return True, [f"the second start ended with {again}: {(folder / 'output.txt').read_text()[-300:]}"]
        return True, lost(expected, folder)


def main() -> int:
    """Kill runs and say what was lost; return 1 where anything was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--early", type=int, default=50, help="runs that die at one of their first changes to files")
    parser.add_argument("--kills", type=int, default=100, help="runs that die at a random moment")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run_alone(Path(name))  # imports what the others are copies of
    with tempfile.TemporaryDirectory() as name:
        begin = time.monotonic()
        code = run_alone(Path(name))
        whole = time.monotonic() - begin
        assert code == 0, (Path(name) / "output.txt").read_text()
        expected = outcome(Path(name))
    random.seed(options.seed)
    shares = [random.uniform(0.01, 1) for _ in range(options.kills)]
    trials: list[tuple[str, dict[str, Any]]] = [
        (f"change {count}", {"early": count}) for count in range(1, options.early + 1)
    ]
    trials += [(f"{share:.0%} of {whole:.1f} s", {"after": share * whole}) for share in shares]
    killed = faulty = 0
    for name, how in trials:
        was_killed, faults = tried(expected, **how)
        killed += was_killed
        faulty += bool(faults)
        for fault in faults:
            print(f"killed at {name}: {fault}", flush=True)
    print(f"{len(trials)} runs, {killed} killed before their end; {faulty} left something else than one without a kill")
    return int(faulty > 0)


if __name__ == "__main__":
    sys.exit(import_module("tests.tools.kills").main())  # other processes find no function of a script
