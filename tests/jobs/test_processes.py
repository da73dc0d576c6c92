import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from noisy_lightning.errors import InputError
from noisy_lightning.jobs import processes
from noisy_lightning.jobs.processes import FAILED, Job, run_jobs
from noisy_lightning.runs.files import write_text
from tests.processes import ROOT


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "START", "fork")


def say(text: str) -> None:
    print(text)
    os.write(2, b"and past Python\n")


def refuse() -> None:
    raise InputError("this cannot work")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def tell(file: Path) -> None:
    file.write_text(f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {torch.get_num_threads()}")
    time.sleep(0.3)


def wait_for(go: Path, mark: Path) -> None:
    write_text(mark, str(os.getpid()))  # at once: who sees the file reads the number
    for _ in range(6000):  # and not for ever, or what does not end this hangs instead of failing
        if go.exists():
            return
        time.sleep(0.01)
    mark.with_name("nobody came").touch()


def test_each_job_ends_with_its_own_code_and_writes_to_its_own_log(tmp_path: Path) -> None:
    jobs = [
        Job("says", say, ("hello",), tmp_path / "says.log"),
        Job("refuses", refuse, (), tmp_path / "refuses.log"),
        Job("dies", die, ()),
    ]
    codes = {job.name: code for job, code in run_jobs(jobs)}
    assert codes == {"says": 0, "refuses": FAILED, "dies": -signal.SIGKILL}
    assert (tmp_path / "says.log").read_text() == "hello\nand past Python\n"
    assert (tmp_path / "refuses.log").read_text() == "error: this cannot work\n"


@pytest.fixture
def _four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_four_threads")
def test_as_many_run_side_by_side_as_asked_on_devices_and_threads_of_their_own(tmp_path: Path) -> None:
    jobs = [Job(str(number), tell, (tmp_path / str(number),)) for number in range(4)]
    begun: list[str] = []
    ended = [job.name for job, _ in run_jobs(jobs, 2, ["3", "5"], started=lambda job: begun.append(job.name))]
    assert begun == ["0", "1", "2", "3"]
    assert sorted(ended) == begun
    told = [(tmp_path / name).read_text().split() for name in begun]
    assert [device for device, _ in told[:2]] == ["3", "5"]
    assert {device for device, _ in told} == {"3", "5"}
    assert {threads for _, threads in told} == {"2"}


def test_who_stops_iterating_ends_the_processes(tmp_path: Path) -> None:
    jobs = [Job("says", say, ("hello",)), Job("waits", wait_for, (tmp_path / "go", tmp_path / "pid"))]
    with closing(run_jobs(jobs, 2)) as ended:
        next(ended)
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not (tmp_path / "nobody came").exists()


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from noisy_lightning.jobs.processes import Job, run_jobs; "
        "from tests.jobs.test_processes import wait_for; "
        f"list(run_jobs([Job('waits', wait_for, (Path('{tmp_path}/go'), Path('{tmp_path}/pid')))]))"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}) as parent:
        while not (tmp_path / "pid").exists():
            assert parent.poll() is None
            time.sleep(0.05)
        parent.kill()
    worker = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            break
        time.sleep(0.1)
    else:
        pytest.fail("it goes on")


# Without a guard; multiprocessing is told what Python says on Windows, where a test asks for that.
UNGUARDED = """
import multiprocessing, sys
from pathlib import Path

if sys.argv[1] == "spawn":
    multiprocessing.get_all_start_methods = lambda: ["spawn"]
from noisy_lightning.jobs import processes

print("the script runs", flush=True)
processes.PRELOADED = []
assert processes.START == sys.argv[1]
job = processes.Job("says", print, ("a job runs",), Path("log"))
print([code for _, code in processes.run_jobs([job])])
"""


@pytest.mark.parametrize("start", ["forkserver", "spawn"])
def test_a_job_does_not_run_the_script_again_that_starts_it(start: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, "script.py", start],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the script runs\n[0]\n", done.stderr
    assert (tmp_path / "log").read_text() == "a job runs\n"
