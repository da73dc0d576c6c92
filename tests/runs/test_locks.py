"""A lock is free again when the process that holds it is killed, also on a file system that has no locks."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from noisy_lightning.runs import locks
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.locks import Lock
from tests.processes import ROOT

# Says when it has the lock, and ends when it is told so, or killed.
HOLDER = """
import fcntl, os, sys
from pathlib import Path
from noisy_lightning.runs.locks import Lock

def refuse(*args):
    raise OSError(int(sys.argv[2]), "no locks")

if sys.argv[2] != "0":
    fcntl.flock = refuse
lock = Lock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
lock.release()
"""
KINDS = pytest.mark.parametrize("code", [0, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=str)


@pytest.fixture(autouse=True)
def _nothing_said() -> None:
    locks._say.cache_clear()


@contextmanager
def _held_elsewhere(path: Path, code: int) -> Iterator["subprocess.Popen[str]"]:
    """Have another process hold a lock, on a file system that answers with an error code, 0 for none."""
    command = [sys.executable, "-c", HOLDER, str(path), str(code)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        output: IO[str] = process.stdout  # type: ignore[assignment]
        assert output.readline() == "True\n"
        yield process
        process.kill()


def _without_locks(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*args: object) -> None:
        raise OSError(code, "no locks")

    if code:
        monkeypatch.setattr("fcntl.flock", refuse)


@KINDS
def test_a_lock_is_kept_by_one_process_until_that_releases_it(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_locks(monkeypatch, code)
    lock = Lock(tmp_path / "lock")
    with _held_elsewhere(tmp_path / "lock", code) as process:
        assert not lock.acquire()
        process.communicate("")
        assert lock.acquire()
        assert not Lock(tmp_path / "lock").acquire()
    lock.release()
    assert Lock(tmp_path / "lock").acquire()


@KINDS
def test_a_killed_process_holds_no_lock(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_locks(monkeypatch, code)
    with _held_elsewhere(tmp_path / "lock", code) as process:
        assert not Lock(tmp_path / "lock").acquire()
        process.send_signal(signal.SIGKILL)
        process.wait()
        lock = Lock(tmp_path / "lock")
        assert lock.acquire()
        assert not Lock(tmp_path / "lock").acquire()
        lock.release()


@KINDS
def test_who_waits_gets_the_lock_when_it_is_free(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_locks(monkeypatch, code)
    with _held_elsewhere(tmp_path / "lock", code) as process:
        assert process.stdin is not None
        process.stdin.close()
        lock = Lock(tmp_path / "lock")
        assert lock.acquire(wait=True)
        lock.release()


def test_a_file_system_without_locks_is_named_in_one_line_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_locks(monkeypatch, errno.ENOLCK)
    for name in ("a", "b"):
        assert Lock(tmp_path / name).acquire()
    (line,) = capsys.readouterr().err.splitlines()
    assert "this file system has no locks (No locks available)" in line


def test_other_errors_are_not_taken_for_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_locks(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="no locks"):
        Lock(tmp_path / "lock").acquire()


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"namespace": "pid:[1]"}, {"started": ""}], ids=str)
def test_a_process_that_cannot_be_seen_is_respected_and_named(
    other: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_locks(monkeypatch, errno.ENOSYS)
    assert Lock(tmp_path / "lock").acquire()
    file = tmp_path / "lock.owner"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pid": 2**30, **other}))
    assert not Lock(tmp_path / "lock").acquire()
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"process {2**30} of " in line
    assert f"delete {file}" in line
    file.unlink()
    assert Lock(tmp_path / "lock").acquire()


def test_a_number_that_another_process_has_now_is_no_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_locks(monkeypatch, errno.ENOSYS)
    first = Lock(tmp_path / "lock")
    assert first.acquire()
    file = tmp_path / "lock.owner"
    file.write_text(json.dumps({**json.loads(file.read_text()), "started": "before"}))
    assert Lock(tmp_path / "lock").acquire()
    assert json.loads(file.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 1}'])
def test_a_damaged_file_is_respected_and_named(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _without_locks(monkeypatch, errno.ENOSYS)
    (tmp_path / "lock.owner").write_text(content)
    assert not Lock(tmp_path / "lock").acquire()
    assert f"{tmp_path / 'lock.owner'} does not say" in capsys.readouterr().err


def test_who_saw_a_dead_owner_leaves_alone_who_was_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_locks(monkeypatch, errno.ENOSYS)
    assert Lock(tmp_path / "lock").acquire()
    assert not locks._OwnerFile(tmp_path / "lock.owner")._take_over("what the dead one had written")
    assert not Lock(tmp_path / "lock").acquire()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "lock.owner"]


def test_who_died_while_taking_over_does_not_keep_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_locks(monkeypatch, errno.ENOSYS)
    with _held_elsewhere(tmp_path / "lock", errno.ENOSYS) as process:
        process.kill()
        process.wait()
        (tmp_path / "lock.owner.next").write_text((tmp_path / "lock.owner").read_text())
        assert Lock(tmp_path / "lock").acquire()


def test_a_run_without_locks_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_locks(monkeypatch, errno.ENOLCK)
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    assert run.lock()
    assert not RunFolder(run.path).lock()
    run.discard_unstarted()
    assert not run.path.exists()
    run.unlock()


def test_who_did_not_get_the_lock_does_not_give_it_up(tmp_path: Path) -> None:
    first, second = (locks._OwnerFile(tmp_path / "lock.owner") for _ in range(2))
    assert first.claim()
    assert not second.claim()
    second.give_up()
    assert first.path.exists()
    first.give_up()
    assert not first.path.exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no /proc says when a process started")
def test_a_process_that_has_ended_has_no_start_even_if_nobody_has_noticed() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert locks._start_of(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # leaves it a zombie
        assert locks._start_of(process.pid) == ""
