"""Jobs by submitit: processes of this machine, or jobs of Slurm."""

import os
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from noisy_lightning.errors import InputError
from noisy_lightning.processes import FAILED, Job, begin

_TICK = 1.0  # seconds


@dataclass(frozen=True)
class Cluster:
    """Where submitit runs jobs.

    Args:
        kind: `local` or `slurm`.
        folder: For scripts and output of submitit.
        parameters: `key=value` for submitit, such as `slurm_partition=gpu`, `timeout_min=120` or `gpus_per_node=1`.

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
        command waits for them again. What a requeued job has trained so far it continues from the last checkpoint.
        """
        executor = self._executor()
        waiting, running = list(jobs), {}
        if self.kind == "slurm" and jobs:
            executor.update_parameters(slurm_array_parallelism=at_a_time)
            with executor.batch():
                submitted = [executor.submit(_Work(job)) for job in jobs]
            running, waiting = dict(zip(submitted, jobs, strict=True)), []
            for job in jobs:
                started(job)
        while waiting or running:
            while waiting and len(running) < at_a_time:
                job = waiting.pop(0)
                started(job)
                running[executor.submit(_Work(job))] = job
            time.sleep(_TICK)
            tick()
            for ended in [one for one in running if one.done()]:
                yield running.pop(ended), 0 if ended.exception() is None else FAILED

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
            parameters[key] = yaml.safe_load(value)
        try:
            executor = submitit.AutoExecutor(self.folder, cluster=self.kind)
            executor.update_parameters(**{"name": "noisy-lightning", **parameters})
        except (NameError, TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise InputError(f"submitit: {str(error).splitlines()[0]}") from error
        return executor


@dataclass(frozen=True)
class _Work:
    """A job as submitit pickles it."""

    job: Job

    def __call__(self) -> None:
        """Do the job, as one process."""
        for name in [name for name in os.environ if name.startswith("SLURM_")]:
            del os.environ[name]  # Lightning would take the run for one of Slurm's many tasks
        begin(self.job)

    def checkpoint(self) -> Any:
        """Ask submitit, which calls this when Slurm takes the machine away or time is up, to begin again."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415

        return DelayedSubmission(self)
