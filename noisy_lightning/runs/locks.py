"""Locks between processes, also on file systems that have none."""

import errno
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

# What a file system answers that has no locks, such as Lustre without the option flock, and some NFS.
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_OWNER = ".owner"
_TICK = 0.1  # seconds between looks at the file of another process


class Lock:
    """A lock that one process at a time can hold, and that is free again when the process ends, however it does.

    Where the file system has no locks, a file `<name>.owner` beside the lock says which process holds it, and the next
    process takes its place if that one has ended. Whether it has, nobody knows on another host: there, a line on
    standard error says which file to delete.

    Args:
        path: File of the lock, in a folder that exists. The file stays when the lock is released.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path, thread_local=False, fallback_to_soft=False)
        self._owner_file = _OwnerFile(path.with_name(f"{path.name}{_OWNER}"))

    def acquire(self, wait: bool = False) -> bool:
        """Claim the lock, and return whether this process holds it now.

        Args:
            wait: Whether to wait until the lock is free.

        Raises:
            OSError: The file of the lock cannot be written.
        """
        try:
            self._lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _say(
                f"this file system has no locks ({os.strerror(error.errno)}): files *.owner say which process is where"
            )
            while not (claimed := self._owner_file.claim()) and wait:
                time.sleep(_TICK)
            return claimed
        return True

    def release(self) -> None:
        """Give the lock up, if this process holds it."""
        self._lock.release()
        self._owner_file.give_up()


@dataclass(frozen=True)
class _Owner:
    """A process that holds a lock."""

    host: str
    namespace: str
    """Within which its number is counted: two containers may have the same name."""
    pid: int
    started: str

    @classmethod
    def this_process(cls) -> "_Owner":
        """Return the process that asks."""
        return cls(platform.node(), _namespace(), os.getpid(), _start_of(os.getpid()))

    def can_be_seen(self) -> bool:
        """Return whether this process can find out if that one still runs."""
        return bool(self.started) and (self.host, self.namespace) == (platform.node(), _namespace())

    def has_ended(self) -> bool:
        """Return whether the process, which can be seen, runs no more."""
        return self.started != _start_of(self.pid)


class _OwnerFile:
    """A lock that is there as long as a file is, which names its owner.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._is_ours = path, False

    def claim(self) -> bool:
        """Make the file, in place of one whose owner has ended; return whether it is ours now."""
        self._is_ours = self._make()
        if self._is_ours:
            return True
        try:
            content = self.path.read_text()
            owner = _Owner(**json.loads(content))
        except FileNotFoundError:  # given up in between
            return False
        except (ValueError, TypeError, RecursionError):
            _say(f"{self.path} does not say which process is at work here; if none is, delete it")
            return False
        if not owner.can_be_seen():
            _say(f"process {owner.pid} of {owner.host} is at work here; if it has ended, delete {self.path}")
        elif owner.has_ended():
            self._is_ours = self._take_over(content)
        return self._is_ours

    def give_up(self) -> None:
        """Remove the file, if it is ours."""
        if self._is_ours:
            self.path.unlink(missing_ok=True)
            self._is_ours = False

    def _make(self) -> bool:
        try:
            with self.path.open("x") as file:
                json.dump(asdict(_Owner.this_process()), file)
        except FileExistsError:
            return False
        return True

    def _take_over(self, content: str) -> bool:
        """Replace a file of this content, which one process at a time may do: it could be that of a faster one."""
        turn = _OwnerFile(self.path.with_name(f"{self.path.name}.next"))
        if not turn.claim():
            return False
        try:
            if self.path.read_text() != content:
                return False
            self.path.unlink()
            return self._make()
        except FileNotFoundError:
            return False
        finally:
            turn.give_up()


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:  # not Linux
        return ""


def _start_of(pid: int) -> str:
    """Return when a process of this host began, in a form of its own; nothing where it has ended, or not on Linux."""
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    return "" if state == "Z" else f"{boot} {numbers[18]}"


@cache
def _say(text: str) -> None:
    """Say something once."""
    print(text, file=sys.stderr)
