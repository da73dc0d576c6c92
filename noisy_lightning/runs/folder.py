"""The folder of a run: where its files lie, which one a command continues, and what came out of it."""

import errno
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import is_unfinished, read_json, sweep_up, write_text
from noisy_lightning.runs.identity import deciding, length_of, without_length
from noisy_lightning.runs.locks import Lock
from noisy_lightning.runs.yaml_file import read_yaml

FOLDS = "folds"
_LOCK = ".lock"
_LONGEST = 255  # bytes that file systems take as a name
_MAPPINGS = ("noise", "last_epoch", "best_epoch", "test", "validate", "hardware", "versions")  # in a result
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class RunOptions:
    """Where a run is kept.

    Args:
        root: Folder of all runs.
        experiment: Folder of the runs that belong together; None: the name of the configuration file.
        version: Folder of this run; None: the next number, or the unfinished run of the same configuration.
        resume: Whether an unfinished run of the same configuration is continued.
        checkpoint_every_n_steps: Save the last checkpoint within epochs too, every n steps; 0: once per epoch.
        extend: Whether a run of the same configuration with fewer `trainer.max_epochs`, finished or not, is made
            longer, exactly as if it had been that long from the start. Where it would not be, the reason is said.
        stop_when_diverged: Whether the first loss or weight that is not finite stops the run. With false, a run that
            has stopped so goes on from its last checkpoint.
    """

    root: Path = Path("runs")
    experiment: str | None = None
    version: str | None = None
    resume: bool = True
    checkpoint_every_n_steps: int = 0
    extend: bool = False
    stop_when_diverged: bool = True

    def __post_init__(self) -> None:
        """Refuse fewer steps than none."""
        if self.checkpoint_every_n_steps < 0:
            raise InputError(f"run.checkpoint_every_n_steps must be at least 0, got {self.checkpoint_every_n_steps}")


@dataclass
class RunFolder:
    """The files of one run."""

    path: Path
    _lock: Lock | None = field(default=None, repr=False)

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of `last.ckpt` and `best.ckpt`."""
        return self.path / "checkpoints"

    @property
    def folds(self) -> Path:
        """Folder of the training runs of a selection."""
        return self.path / FOLDS

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.path / "metrics.csv"

    @property
    def result(self) -> Path:
        """What came out of training and of tests."""
        return self.path / "result.json"

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return not self.read_result().keys().isdisjoint(("epochs", "selected"))

    def checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint.

        Args:
            name: `best`, `last` or the path of a file.

        Raises:
            InputError: There is no such file.
        """
        path = self.checkpoints / f"{name}.ckpt" if name in ("best", "last") else Path(name)
        if not path.is_file():
            if self.folds.is_dir():
                raise InputError(f"{self.path} is a selection, whose runs are in {self.folds}")
            found = ", ".join(sorted(file.stem for file in self.checkpoints.glob("*.ckpt"))) or "none"
            raise InputError(f"no checkpoint {name} at {path}; {self.path} has: {found}")
        return path

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration.

        Raises:
            InputError: The file is damaged.
        """
        content = read_yaml(self.config)
        if not isinstance(content, dict):
            raise InputError(f"{self.config} is damaged: it should hold names and values")
        return content

    def read_result(self) -> dict[str, Any]:
        """Return the result, empty for an unfinished run.

        Raises:
            InputError: The file is damaged.
        """
        content = read_json(self.result) if self.result.exists() else {}
        for name in _MAPPINGS:
            if not isinstance(content.get(name) or {}, dict):
                raise InputError(f"{self.result} is damaged: {name} should hold names and values")
        return content

    def write_result(self, result: dict[str, Any]) -> None:
        """Replace the result, atomically."""
        write_text(self.result, json.dumps(_without_nan(result), indent=2, allow_nan=False) + "\n")

    def update_result(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Replace the result by what a function makes of it, and return that; of several processes one at a time.

        A file that cannot be read, since somebody else has damaged it, counts as empty, and a line says so.
        """
        turn = Lock(self.path / f"{_LOCK}.result")
        turn.acquire(wait=True)
        try:
            before: dict[str, Any] = {}
            try:
                before = self.read_result()
            except InputError as error:
                print(f"{error}; it is written anew, without what it held", file=sys.stderr)
            result = change(before)
            self.write_result(result)
        finally:
            turn.release()
        return result

    def lock(self) -> bool:
        """Claim the folder for as long as this process lives; return whether it was free.

        What a killed process has left unfinished in it is removed.
        """
        lock = Lock(self.path / _LOCK)
        if not lock.acquire():
            return False
        self._lock = lock
        sweep_up(self.path)
        return True

    def check_there(self) -> None:
        """Check that nobody has deleted or moved the folder while this process works in it.

        Raises:
            FileNotFoundError: Somebody has.
        """
        if not self.config.is_file():
            raise FileNotFoundError(errno.ENOENT, "it has been deleted or moved while it was in use", str(self.path))

    def unlock(self) -> None:
        """Give the folder up."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def discard_unstarted(self) -> None:
        """Remove the folder if training never began in it, which its noise files would show."""
        if (self.path / "noise.json").exists():
            return
        own = [self.config, self.path / "hparams.yaml"]
        for file in [*own, *self.path.glob(f"{_LOCK}*"), *self.path.glob("events.out.tfevents.*")]:
            file.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def same_configuration(self, config: dict[str, Any]) -> bool:
        """Return whether the run was started with this configuration, its place aside."""
        return self.config.exists() and deciding(self.read_config()) == deciding(config)

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing that a run writes: a process has ended before it wrote its configuration."""
        return not any(not file.name.startswith(_LOCK) and not is_unfinished(file) for file in self.path.iterdir())


def existing_run(path: Path) -> RunFolder:
    """Return the run in a folder.

    Raises:
        InputError: There is none.
    """
    run = RunFolder(path)
    if not run.config.is_file():
        raise InputError(f"{path} is not the folder of a run: it has no {run.config.name}")
    return run


def claim_run(folder: Path, version: str | None, resume: bool, config: dict[str, Any]) -> RunFolder:
    """Return a locked folder to train in: an unfinished run of the same configuration, or else a new one.

    Args:
        folder: Of the experiment.
        version: Which run is wanted; None: whichever fits.
        resume: Whether an unfinished run may be continued.
        config: The resolved configuration, as plain data.

    Raises:
        InputError: The version is finished, in use, or of another configuration, or the folder cannot be made.
    """
    if version is not None:
        checked_name("run.version", version)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"run.root: cannot make the folder {folder}: {error.strerror}") from error
    if version is not None:
        return _claim_named(RunFolder(folder / version), resume, config)
    numbers = sorted(int(path.name) for path in folder.glob("*") if _NUMBER.fullmatch(path.name))
    for run in (RunFolder(folder / str(number)) for number in numbers if resume):
        if _goes_on(run, config) and run.lock():
            if _goes_on(run, config):  # still: its last owner may have finished it in between
                return run
            run.unlock()
    number = numbers[-1] + 1 if numbers else 0
    while True:
        run = RunFolder(folder / str(number))
        try:
            run.path.mkdir(parents=True)
        except FileExistsError:  # another process was faster
            number += 1
        else:
            if run.lock():
                return run
            number += 1  # another process has taken it for one that was given up


def checked_name(key: str, name: str) -> str:
    """Return the name of a folder, which must not lead to another place.

    Args:
        key: What the user calls it.
        name: The name.

    Raises:
        InputError: It is a path, or too long.
    """
    if len(name.encode(errors="replace")) > _LONGEST:
        raise InputError(f"{key} must have at most {_LONGEST} bytes, got {name!r}")
    if name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise InputError(f"{key} must be a name, not a path, got {name!r}")
    return name


def _goes_on(run: RunFolder, config: dict[str, Any]) -> bool:
    """Return whether a run is unfinished and of this configuration; one that is damaged is named, and is not."""
    try:
        return not run.finished and (run.same_configuration(config) if run.config.exists() else run.is_empty)
    except (InputError, OSError) as error:
        print(f"passed over: {error}", file=sys.stderr)
        return False


def claim_shorter(folder: Path, version: str | None, config: dict[str, Any]) -> RunFolder:
    """Return a locked folder whose run is to be made longer, or is being made longer already.

    Args:
        folder: Of the experiment.
        version: Which run is wanted; None: the latest that fits.
        config: The resolved configuration, as plain data, with the epochs that are wanted.

    Raises:
        InputError: There is none, it is in use, or it ended before its last epoch.
    """
    numbers = sorted((int(path.name) for path in folder.glob("*") if path.name.isdigit()), reverse=True)
    for run in (RunFolder(folder / name) for name in ([version] if version is not None else map(str, numbers))):
        if not run.config.is_file():
            continue
        has = run.read_config()
        is_longer = not run.finished and run.same_configuration(config)
        if not is_longer and (without_length(has) != without_length(config) or length_of(has) >= length_of(config)):
            continue
        if not run.lock():
            raise InputError(f"run.extend: another process is training in {run.path}")
        done = run.read_result().get("epochs", length_of(has))
        if done < length_of(has):
            run.unlock()
            raise InputError(
                f"run.extend: {run.path} ended by itself after {done} of {length_of(has)} epochs: it would have ended "
                "there with any trainer.max_epochs"
            )
        return run
    where = folder if version is None else folder / version
    raise InputError(f"run.extend: in {where} is no run of this configuration with fewer trainer.max_epochs")


def _claim_named(run: RunFolder, resume: bool, config: dict[str, Any]) -> RunFolder:
    another = "choose another run.version"
    if run.finished:
        test = f", or test it: noisy-lightning test {run.path}" if run.checkpoints.exists() else ""
        raise InputError(f"run.version: {run.path} has finished; {another}{test}")
    if run.config.exists() and not run.same_configuration(config):
        raise InputError(
            f"run.version: {run.path} was started with another configuration (config.yaml there); {another}"
        )
    if run.config.exists() and not resume:
        raise InputError(f"run.version: {run.path} is unfinished and run.resume is false; {another}")
    try:
        run.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"run.version: cannot make the folder {run.path}: {error.strerror}") from error
    if not run.config.exists() and not run.is_empty:
        raise InputError(f"run.version: {run.path} holds files but no run; {another}")
    if not run.lock():
        raise InputError(f"run.version: another process is training in {run.path}; {another}")
    return run


def _without_nan(value: Any) -> Any:
    """Return plain data with null for what is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
