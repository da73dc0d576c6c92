"""Runs sweeps on a real Slurm of one node, whose jobs it kills, requeues and lets run out of time.

    .venv/bin/python -m tests.tools.slurm

By hand: CI does not run it, since it needs root, unshare (util-linux), ip (iproute2) and Debian's package slurm-wlm.
It takes four to six minutes on two cores, on both of which it trains. munged, slurmctld and slurmd get a folder of
their own, process numbers, and a network of nothing but loopback; they end with this process, however it ends, and a
Slurm that is there already does not notice.

Each check is a line that begins with "ok" or "FAILED"; the exit code is 1 if any failed.
"""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from noisy_lightning import compat
from noisy_lightning.experiments.ledger import read_ledger
from tests.processes import ROOT

INSIDE = "--inside"
NEEDED = ("unshare", "ip", "munged", "slurmctld", "slurmd", "sbatch", "srun")
ADDRESS = "10.77.0.1"  # srun does not look for a node at a loopback address
PATIENCE = 600.0  # seconds until what does not come is taken for a failure

SLURM = """
ClusterName=tests
SlurmctldHost={host}({address})
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
NodeName={host} NodeAddr={address} CPUs={cpus}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
"""

EPOCHS = 40
BASE = """
seed_everything: 0
trainer: {max_epochs: EPOCHS, accelerator: cpu, devices: 1}
data: {class_path: Digits, init_args: {noise: {class_path: Symmetric, init_args: {rate: 0.4}}, batch_size: 16}}
model:
  backbone: {class_path: tests.networks.Random}
  optimizer: {class_path: SGD, init_args: {lr: 0.1, momentum: 0.9}}
"""
GRID = """
config: base.yaml
axes:
  model.loss: [CrossEntropy, MeanAbsoluteError]
seeds: [1, 2]
"""
# What of a ledger's row may differ between two runs of the same.
PASSING = ("run", "seconds", "images_per_second", "peak_memory_mib", "git_commit")

failures: list[str] = []


def check(what: str, holds: bool, seen: object = "") -> None:
    """Print one line of the outcome."""
    print(f"{'ok    ' if holds else 'FAILED'} {what}{'' if holds else f': {seen}'}", flush=True)
    if not holds:
        failures.append(what)


def wait_until(what: str, holds: Callable[[], bool]) -> None:
    """Wait for something to come true; raises TimeoutError where it does not."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"waited in vain until {what}")
        time.sleep(0.2)


class Grid:
    """A sweep of the four runs, in a folder `runs/<name>` of its own."""

    def __init__(self, name: str, *options: str) -> None:
        self.folder = Path("runs", name)
        self.command = ["noisy-lightning", "sweep", "--config", "grid.yaml", "--name", name, *options]

    @contextmanager
    def started(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Have the command run in the background, with its output in a file."""
        with Path(f"{self.folder.name}.out").open("a") as out:
            process = subprocess.Popen(self.command, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self) -> int:
        """Run the command to its end and return its exit code."""
        with self.started() as process:
            return process.wait(timeout=PATIENCE)

    def output(self) -> str:
        """Return what the command has said so far."""
        return Path(f"{self.folder.name}.out").read_text()

    def names(self) -> list[str]:
        """Return the names of the runs, in their order."""
        return [run["name"] for run in json.loads((self.folder / "sweep.json").read_text())["runs"]]

    def epochs(self, number: int) -> int:
        """Return how many epochs a run has behind it."""
        try:
            with (self.folder / self.names()[number] / "metrics.csv").open() as file:
                return len(list(csv.reader(file))) - 1
        except FileNotFoundError:  # nothing has begun yet
            return 0

    def wait_for_epoch(self, number: int, epoch: int) -> None:
        """Wait until a run is in its middle."""
        wait_until(f"{self.folder.name}, run {number} is in epoch {epoch}", lambda: self.epochs(number) >= epoch)

    def log(self, number: int) -> str:
        """Return all output of a run."""
        return (self.folder / "logs" / f"{self.names()[number]}.log").read_text()

    def rows(self) -> list[dict[str, Any]]:
        """Return the ledger, without what differs between two runs of the same."""
        rows = read_ledger(self.folder / "ledger.csv")
        return [{name: value for name, value in row.items() if name not in PASSING} for row in rows]

    def weights(self, number: int) -> dict[str, torch.Tensor]:
        """Return a run's weights after the last epoch."""
        weights: dict[str, torch.Tensor] = torch.load(self.folder / self.names()[number] / "checkpoints" / "last.ckpt")[
            "state_dict"
        ]
        return weights

    def check_equals(self, other: "Grid") -> None:
        """Check that the ledger is complete, and equal to that of another sweep, as are the weights."""
        rows = self.rows()
        states = [row["status"] for row in rows]
        check(f"{self.folder.name}: the ledger has all 4 runs, and all are done", states == ["done"] * 4, states)
        check(f"{self.folder.name}: the ledger equals that of {other.folder.name}", rows == other.rows(), rows)
        same = [_equal(self.weights(number), other.weights(number)) for number in range(4)]
        check(f"{self.folder.name}: the weights equal those of {other.folder.name}, bit for bit", all(same), same)

    def check_continued(self, number: int, after: str) -> None:
        """Check that a run went on from its last checkpoint, once, instead of beginning anew."""
        log = self.log(number)
        epochs = [int(epoch) for epoch in re.findall(r"^epoch (\d+)/", log, re.MULTILINE)]
        times = log.count("from its last checkpoint")
        # The epoch in which a process was killed may have been told already.
        continued = times == 1 and set(epochs) == set(range(1, EPOCHS + 1)) and len(epochs) <= EPOCHS + 1
        check(f"{self.folder.name}: a run {after} continued from its last checkpoint", continued, (times, epochs))


def _equal(these: dict[str, torch.Tensor], those: dict[str, torch.Tensor]) -> bool:
    return these.keys() == those.keys() and all(torch.equal(these[name], those[name]) for name in these)


def slurm(*command: str, check: bool = True) -> str:
    """Run a command of Slurm and return its output; where it fails, raise if asked to check that."""
    return subprocess.run(command, check=check, capture_output=True, text=True).stdout.strip()


def queue() -> list[str]:
    """Return the numbers of all jobs that Slurm has not done, such as 12_3."""
    return slurm("squeue", "--noheader", "--array", "--format=%i").split()


def hurry(job: str) -> None:
    """Have a job that was requeued begin as soon as it has ended, instead of after two minutes."""
    state = ("squeue", "--noheader", "--format=%T", f"--jobs={job}")
    wait_until(f"job {job} is pending", lambda: slurm(*state) == "PENDING")
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")


@contextmanager
def daemons(folder: Path) -> Iterator[None]:
    """Run Slurm, with all of its files in a folder."""
    slurm("ip", "link", "set", "lo", "up")
    slurm("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    config = folder / "slurm.conf"
    config.write_text(SLURM.format(folder=folder, host=host, address=ADDRESS, cpus=os.cpu_count()))
    os.environ["SLURM_CONF"] = str(config)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munge = [
        f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("key-file", "socket", "pid-file", "seed-file")
    ]
    commands = [["munged", "--foreground", "--force", *munge], ["slurmctld", "-D"], ["slurmd", "-D"]]
    running: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.log").open("w") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=log))
            if command[0] == "munged":
                wait_until("munged answers", (folder / "munge.socket").exists)
            if command[0] == "slurmctld":
                wait_until("slurmctld answers", lambda: slurm("scontrol", "ping", check=False).endswith("UP"))
        wait_until("the node is idle", lambda: slurm("sinfo", "--noheader", "--format=%T") == "idle")
        yield
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait()


def _with_submitit(here: Grid) -> None:
    """One job requeued, one killed, one out of time."""
    grid = Grid("submitit", "--executor", "slurm", "--jobs", "2", "--submitit", "timeout_min=30", "cpus_per_task=1")
    with grid.started() as sweep:
        grid.wait_for_epoch(0, 3)
        (array,) = {job.partition("_")[0] for job in queue()}
        slurm("scontrol", "requeue", f"{array}_0")
        grid.wait_for_epoch(1, 3)
        slurm("scancel", "--signal=KILL", f"{array}_1")
        hurry(f"{array}_0")
        grid.wait_for_epoch(2, 3)
        slurm("scancel", "--signal=USR2", f"{array}_2")  # as before the time is up: submitit requeues the job itself
        hurry(f"{array}_2")
        code = sweep.wait(timeout=PATIENCE)
    check("submitit: the sweep says by its exit code that a run has failed", code == 1, grid.output())
    rows = grid.rows()
    states = [row["status"] for row in rows]
    check("submitit: the ledger has all 4 runs, one of them failed", states == ["done", "failed", "done", "done"], rows)
    check("submitit: the ledger says what became of it", "ended by Slurm" in str(rows[1]["error"]), rows[1])
    check("submitit: the same command again ends well", grid.run() == 0, grid.output())
    grid.check_continued(0, "that was requeued")
    grid.check_continued(1, "whose job was killed")
    grid.check_continued(2, "whose time was up")
    grid.check_equals(here)


def _interrupted(here: Grid) -> None:
    """The waiting command is ended by Ctrl-C, and started again."""
    grid = Grid("interrupted", "--executor", "slurm", "--jobs", "2", "--submitit", "timeout_min=30", "cpus_per_task=1")
    with grid.started() as sweep:
        grid.wait_for_epoch(0, 3)
        sweep.send_signal(signal.SIGINT)
        code = sweep.wait(timeout=PATIENCE)
    check("interrupted: Ctrl-C ends the command, with exit code 130", code == 130, grid.output())
    check("interrupted: its jobs go on", len(queue()) >= 2, queue())
    check("interrupted: the same command again ends well", grid.run() == 0, grid.output())
    arrays = {number.partition("_")[0] for number in compat.submitted_jobs(grid.folder / "submitit")}
    check("interrupted: it has waited for the jobs that were there", len(arrays) == 1, arrays)
    grid.check_equals(here)


def _by_script(here: Grid) -> None:
    """README's script for a job array, without submitit."""
    grid = Grid("grid")
    script = ROOT / "tests" / "tools" / "slurm_array.sbatch"
    number = slurm("sbatch", "--parsable", str(script))
    grid.wait_for_epoch(0, 3)
    slurm("scontrol", "requeue", f"{number}_1")
    grid.wait_for_epoch(1, 3)
    slurm("scancel", "--signal=KILL", "--full", f"{number}_2")
    hurry(f"{number}_1")
    wait_until("all jobs have ended", lambda: not queue())
    states = [row["status"] for row in grid.rows()]
    check("grid: the ledger has what was not killed", states == ["done"] * 3, states)
    slurm("sbatch", "--wait", str(script))
    grid.check_continued(0, "that was requeued")
    grid.check_continued(1, "whose job was killed")
    grid.check_equals(here)


def _inside() -> None:
    """Do everything, in namespaces of its own."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    folder = Path(tempfile.mkdtemp(prefix="noisy_lightning_slurm_"))
    print(f"       all files are in {folder}, which goes if nothing fails", flush=True)
    folder.chmod(0o755)  # munge refuses a socket that others cannot reach
    (folder / "work").mkdir()
    os.chdir(folder / "work")
    Path("base.yaml").write_text(BASE.replace("EPOCHS", str(EPOCHS)))
    Path("grid.yaml").write_text(GRID)
    here = Grid("processes", "--executor", "processes", "--jobs", "2")
    check("processes: a sweep without Slurm ends well", here.run() == 0, here.output())
    with daemons(folder):
        for part in (_with_submitit, _interrupted, _by_script):
            started = time.monotonic()
            try:
                part(here)
            except (TimeoutError, subprocess.SubprocessError, OSError) as error:
                check(part.__name__.strip("_"), False, error)
                slurm("scancel", "--user=root")
            print(f"       {time.monotonic() - started:.0f} s", flush=True)
    if not failures:
        shutil.rmtree(folder)


def main(args: Sequence[str]) -> int:
    """Begin again in namespaces of its own, or do everything there."""
    if INSIDE in args:
        _inside()
        return 1 if failures else 0
    if os.geteuid() != 0:
        print("it needs root, for a network of its own", file=sys.stderr)
        return 2
    os.environ["PATH"] += ":/usr/sbin"
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        print(f"it needs {', '.join(missing)}: apt install slurm-wlm iproute2", file=sys.stderr)
        return 2
    own = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.chdir(ROOT)
    os.execvp(own[0], [*own, sys.executable, "-m", "tests.tools.slurm", INSIDE])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
