"""Slurm is played by scripts and the test itself here; tests/tools/slurm.py has a real one."""

import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from submitit.slurm.slurm import SlurmJobEnvironment

from noisy_lightning.errors import InputError
from noisy_lightning.jobs import cluster
from noisy_lightning.jobs.cluster import GONE, Cluster, _Work
from noisy_lightning.jobs.processes import FAILED, Job

JOBS = [Job(name, print, (name,)) for name in ("a", "b", "c")]


class FakeSlurm:
    """Takes scripts and runs nothing: a test says what becomes of the jobs.

    Args:
        folder: For its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.commands = folder / "submitit", folder / "bin"
        self.commands.mkdir()
        self._scripts, self._queue = folder / "scripts", folder / "queue"
        self.has()
        self.command("sbatch", f'cat "$1" >> {self._scripts}; echo Submitted batch job 7')
        self.command("squeue", f"cat {self._queue}")
        self.command("srun", "exit 1")

    def command(self, name: str, script: str) -> None:
        (self.commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.commands / name).chmod(0o755)

    def has(self, *numbers: str) -> None:
        """Have these jobs, waiting or running."""
        self._queue.write_text("".join(f"{number}\n" for number in numbers))

    def ends(self, number: str, outcome: str = "success") -> None:
        """Have a job end, as submitit reports it."""
        (self.folder / f"{number}_0_result.pkl").write_bytes(pickle.dumps((outcome, None)))

    def submitted(self) -> list[str]:
        """Return the options of all jobs."""
        return [line.removeprefix("#SBATCH ") for line in self._scripts.read_text().splitlines() if "#SBATCH" in line]

    def run(self, jobs: Sequence[Job], tick: Callable[[], None], *parameters: str) -> dict[str, int]:
        """Return the exit codes of jobs, with a function that is called while they run."""
        return {
            job.name: code
            for job, code in Cluster("slurm", self.folder, parameters).run_jobs(jobs, 2, lambda job: None, tick)
        }


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.commands}:{os.environ['PATH']}")
    monkeypatch.setattr(cluster, "_TICK", 0.01)
    monkeypatch.setattr(cluster, "_ASK", 0.0)
    return fake


def refuse() -> None:
    raise InputError("this cannot work")


def test_jobs_are_one_array_and_each_tells_how_it_ended(slurm: FakeSlurm) -> None:
    def tick() -> None:
        slurm.ends("7_0")
        slurm.ends("7_2", "error")

    # 7_1 is killed: no result, and Slurm has forgotten it
    assert slurm.run(JOBS, tick, "timeout_min=90") == {"a": 0, "b": GONE, "c": FAILED}
    assert "--array=0-2%2" in slurm.submitted()
    assert "--time=90" in slurm.submitted()


def test_a_job_may_take_a_day_unless_an_option_says_otherwise(slurm: FakeSlurm) -> None:
    slurm.run(JOBS, lambda: None)
    assert "--time=1440" in slurm.submitted()


def test_a_slurm_that_does_not_answer_ends_no_job(slurm: FakeSlurm) -> None:
    ticks: list[None] = []

    def tick() -> None:
        ticks.append(None)
        if len(ticks) == 5:
            for number in ("7_0", "7_1", "7_2"):
                slurm.ends(number)

    slurm.command("squeue", "exit 1")
    assert slurm.run(JOBS, tick) == {"a": 0, "b": 0, "c": 0}


def test_who_comes_again_waits_for_the_jobs_that_are_there(slurm: FakeSlurm) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def tick() -> None:
        slurm.ends("7_1")
        slurm.ends("7")

    with pytest.raises(KeyboardInterrupt):
        slurm.run(JOBS[:2], interrupt)
    slurm.has("7_1", "8_0")  # 7_0 has ended in between, 8_0 is not ours
    assert slurm.run(JOBS[1:], tick) == {"b": 0, "c": 0}
    arrays = [option for option in slurm.submitted() if option.startswith(("--array", "--job-name"))]
    assert arrays == ["--array=0-1%2", "--job-name=noisy-lightning", "--job-name=noisy-lightning"]


def test_what_slurm_refuses_is_an_error_in_its_words(slurm: FakeSlurm) -> None:
    slurm.command("sbatch", "echo sbatch: error: invalid partition >&2; exit 1")
    with pytest.raises(InputError, match="submitit: sbatch: error: invalid partition"):
        slurm.run(JOBS, lambda: None)


def test_a_job_trains_alone_and_still_knows_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NTASKS", "4"), ("JOB_ID", "8"), ("ARRAY_JOB_ID", "7"), ("ARRAY_TASK_ID", "1")):
        monkeypatch.setenv(f"SLURM_{name}", value)
    work = _Work(Job("says", print, ("hello",)))
    work()
    assert "SLURM_NTASKS" not in os.environ
    assert SlurmJobEnvironment().job_id == "7_1"  # by which submitit requeues it
    assert work.checkpoint().function == work


def test_a_job_that_fails_leaves_a_result() -> None:
    with pytest.raises(RuntimeError, match="refuses has failed"):
        _Work(Job("refuses", refuse, ()))()


def test_a_job_that_slurm_leaves_out_once_is_not_gone(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two states, as at a requeue, a job can be in no list for a moment."""
    answers = iter([{"7_0"}, set(), {"7_0"}, set(), {"7_0"}])
    asked: list[object] = []

    def queued() -> set[str]:
        answer = next(answers)
        asked.append(answer)
        if len(asked) == 5:
            slurm.ends("7")  # a single job has no number in an array
        return {number.partition("_")[0] for number in answer}

    monkeypatch.setattr(cluster, "_queued", queued)
    assert slurm.run(JOBS[:1], lambda: None) == {"a": 0}
    assert len(asked) >= 4
