"""Work in processes of its own, some at a time."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from noisy_lightning import compat
from noisy_lightning.errors import InputError, StorageError, storing

# A forkserver is a process that has imported everything and done nothing else: further ones begin as its copies. Where
# there is none, as on Windows, each process imports everything again.
START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
# By name, since what runs in these processes stands above this; and what a run would import only when it needs it.
PRELOADED = ["noisy_lightning.cli.evaluation", "noisy_lightning.training.callbacks.sample_board"]
FAILED, INTERRUPTED = 2, 130  # exit codes
_TICK = 0.5  # seconds


@dataclass(frozen=True)
class Job:
    """What one process does.

    Args:
        name: For messages.
        work: A function of a module, called in the new process.
        arguments: Its arguments, which have to pickle.
        log: File to whose end its output goes; None: where this process writes to.
    """

    name: str
    work: Callable[..., object]
    arguments: tuple[Any, ...]
    log: Path | None = None


def run_jobs(
    jobs: Sequence[Job],
    at_a_time: int = 1,
    devices: Sequence[str] = (),
    started: Callable[[Job], None] = lambda job: None,
    tick: Callable[[], None] = lambda: None,
) -> Generator[tuple[Job, int]]:
    """Do jobs, each in a process of its own, and yield each with its exit code once it has ended.

    An InputError ends a process with one line and exit code 2, a signal with its negative number. Jobs that run side by
    side share the processor's threads. When the caller stops iterating, or dies, the processes end too. None of them
    runs the script of this process again, so that it needs no guard.

    Args:
        jobs: In the order in which they begin.
        at_a_time: How many run side by side, >= 1.
        devices: GPUs, as CUDA_VISIBLE_DEVICES names them, that jobs take turns on; none: each sees them all.
        started: Called with a job that is about to begin.
        tick: Called about twice a second.
    """
    context: Any = multiprocessing.get_context(START)
    if START == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    threads = max(1, torch.get_num_threads() // at_a_time)
    waiting, slots = list(jobs), list(range(at_a_time))
    running: dict[BaseProcess, tuple[Job, int]] = {}
    try:
        while waiting or running:
            while waiting and slots:
                job, slot = waiting.pop(0), slots.pop(0)
                started(job)
                environment = {"CUDA_VISIBLE_DEVICES": devices[slot % len(devices)]} if devices else {}
                process: BaseProcess = context.Process(target=_begin, args=(job, threads, environment))
                with compat.hidden_main():
                    process.start()
                running[process] = job, slot
            wait([process.sentinel for process in running], timeout=_TICK)
            tick()
            for ended in [process for process in running if not process.is_alive()]:
                job, slot = running.pop(ended)
                slots.append(slot)
                yield job, ended.exitcode or 0
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join()


def begin(job: Job) -> None:
    """Do a job in this process, which ends with exit code 2 at an InputError or where a file cannot be written."""
    compat.leave_slurm()
    if job.log is not None:
        _write_to(job.log)
    try:
        with storing(), compat.one_report_of_boards():
            job.work(*job.arguments)
    except (InputError, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def end_with_parent(*_: object) -> None:
    """Have this process, which multiprocessing has started, end as soon as the one does that has started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_die_with, args=(parent.sentinel,), daemon=True).start()


def _begin(job: Job, threads: int, environment: Mapping[str, str]) -> None:
    """Do a job in this process, which ends with the one that has started it."""
    end_with_parent()
    os.environ |= environment
    torch.set_num_threads(threads)
    begin(job)


def _write_to(log: Path) -> None:
    """Have a file take all output of this process, that of libraries written in C included."""
    file = log.open("a", buffering=1)
    for descriptor in (1, 2):
        os.dup2(file.fileno(), descriptor)
    sys.stdout = sys.stderr = file


def _die_with(sentinel: int) -> None:
    """End this process when another one ends, however it does; a later one continues from the last checkpoint."""
    wait([sentinel])
    os._exit(FAILED)
