"""Jobs by submitit: processes of this machine, or jobs of Slurm."""

import math
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from noisy_lightning import compat
from noisy_lightning.errors import InputError, reading
from noisy_lightning.jobs.processes import FAILED, Job, begin

GONE = 143  # exit code of a job that Slurm has ended: a shell's of a process that SIGTERM ends
# submitit would end every job after five minutes, here after two.
_DEFAULTS = {"name": "noisy-lightning", "timeout_min": 24 * 60}
_TICK, _ASK = 1.0, 15.0  # seconds between looks at files and at Slurm's queue


@dataclass(frozen=True)
class Cluster:
    """Where submitit runs jobs.

    Args:
        kind: `local` or `slurm`.
        folder: For scripts and output of submitit.
        parameters: `key=value` for submitit, such as `slurm_partition=gpu`, `gpus_per_node=1` or `timeout_min=120`
            (default: a day).

    Raises:
        InputError: submitit is not installed, or a parameter is none of its.
    """

    kind: str
    folder: Path
    parameters: Sequence[str] = ()

    def run_jobs(
        self, jobs: Sequence[Job], at_a_time: int, started: Callable[[Job], None], tick: Callable[[], None]
    ) -> Generator[tuple[Job, int]]:
        """Submit jobs, and yield each with its exit code once it has ended, as `processes.run_jobs` does.

        On Slurm they are one array, of which `at_a_time` run side by side, and go on when this process ends: the same
        command then waits for them again. What a requeued job has trained so far it continues from the last checkpoint.

        Raises:
            InputError: The jobs cannot be submitted.
        """
        executor = self._executor()
        if self.kind == "slurm":
            yield from self._run_array(executor, jobs, at_a_time, started, tick)
            return
        waiting = list(jobs)
        running: dict[Any, Job] = {}
        while waiting or running:
            while waiting and len(running) < at_a_time:
                job = waiting.pop(0)
                started(job)
                running[executor.submit(_Work(job))] = job
            time.sleep(_TICK)
            tick()
            for ended in [one for one in running if one.done()]:
                yield running.pop(ended), _code(ended)

    def _run_array(
        self,
        executor: Any,
        jobs: Sequence[Job],
        at_a_time: int,
        started: Callable[[Job], None],
        tick: Callable[[], None],
    ) -> Generator[tuple[Job, int]]:
        running = self._submitted_before(jobs)
        submitted: list[Any] = []
        if missing := [job for job in jobs if job.name not in {one.name for one in running.values()}]:
            executor.update_parameters(slurm_array_parallelism=at_a_time)
            try:
                with executor.batch():
                    submitted = [executor.submit(_Work(job)) for job in missing]
            except RuntimeError as error:
                raise InputError(f"submitit: {' '.join(str(error).split())}") from error
            running |= dict(zip(submitted, missing, strict=True))
        for job in running.values():
            started(job)
        queue = _Queue()
        while running:
            time.sleep(_TICK)
            tick()
            gone = queue.without(one.job_id for one in running)
            for one in list(running):
                if compat.has_result(one):
                    yield running.pop(one), _code(one)
                elif one.job_id in gone:
                    yield running.pop(one), GONE

    def _submitted_before(self, jobs: Sequence[Job]) -> dict[Any, Job]:
        """Return those of the jobs that an earlier process has submitted and Slurm still has."""
        from submitit import SlurmJob  # noqa: PLC0415

        queued, named = _queued() or set(), {job.name: job for job in jobs}
        found: dict[Any, Job] = {}
        for number in compat.submitted_jobs(self.folder):
            if number in queued:
                submitted: Any = SlurmJob(self.folder, number)
                name = compat.function_of(submitted).job.name
                if name in named:
                    found[submitted] = named.pop(name)
        return found

    def _executor(self) -> Any:
        try:
            import submitit  # noqa: PLC0415
        except ImportError as error:
            raise InputError("executor: submitit is missing: pip install 'noisy_lightning[cluster]'") from error
        parameters = {}
        for one in self.parameters:
            key, equals, value = one.partition("=")
            if not equals:
                raise InputError(f"submitit: {one!r} is no KEY=VALUE, such as timeout_min=120")
            with reading(one, "submitit"):
                parameters[key] = yaml.safe_load(value)
        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.kind)
            executor.update_parameters(**{**_DEFAULTS, **parameters})
        except (NameError, TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise InputError(f"submitit: {str(error).splitlines()[0]}") from error
        return executor


class _Queue:
    """Slurm's queue, which shows that a job has ended without a result.

    submitit would ask Slurm's accounting instead, which not every cluster has, and wait forever.
    """

    def __init__(self) -> None:
        self._asked, self._absent = -math.inf, set[str]()

    def without(self, numbers: Iterable[str]) -> set[str]:
        """Return which jobs are in it no more, twice in a row, since their results may take a while to be seen."""
        if time.monotonic() < self._asked + _ASK:
            return set()
        self._asked, queued = time.monotonic(), _queued()
        absent = set() if queued is None else set(numbers) - queued
        gone, self._absent = absent & self._absent, absent
        return gone


def _queued() -> set[str] | None:
    """Return the numbers of this user's jobs, array tasks as 12_3; None if Slurm does not answer."""
    command = ["squeue", "--noheader", "--array", "--format=%i", "--me"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(answer.stdout.split()) if answer.returncode == 0 else None


def _code(ended: Any) -> int:
    return 0 if ended.exception() is None else FAILED


@dataclass(frozen=True)
class _Work:
    """A job as submitit pickles it."""

    job: Job

    def __call__(self) -> None:
        """Do the job in this process."""
        try:
            begin(self.job)
        except SystemExit as end:
            if end.code == FAILED:  # which submitit would not report
                raise RuntimeError(f"{self.job.name} has failed") from end
            raise

    def checkpoint(self) -> Any:
        """Ask submitit, which calls this when Slurm takes the machine away or time is up, to begin again."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415

        return DelayedSubmission(self)
