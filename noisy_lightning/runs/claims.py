"""Which folder a command trains in: a new one, the run that it continues, or the one that it makes longer."""

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.identity import length_of, without_length

_LONGEST = 255  # bytes that file systems take as a name
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
    numbers = _numbers(folder)
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


def claim_shorter(folder: Path, version: str | None, config: dict[str, Any]) -> RunFolder:
    """Return a locked folder whose run is to be made longer, or is being made longer already.

    Args:
        folder: Of the experiment.
        version: Which run is wanted; None: the latest that fits.
        config: The resolved configuration, as plain data, with the epochs that are wanted.

    Raises:
        InputError: There is none, it is in use, it ended before its last epoch, or the version is damaged or a path.
    """
    names = map(str, reversed(_numbers(folder))) if version is None else [checked_name("run.version", version)]
    for run in (RunFolder(folder / name) for name in names):
        try:
            if not run.config.is_file() or not _is_shorter(run, config):
                continue
        except (InputError, OSError) as error:
            if version is not None:
                raise
            print(f"passed over: {error}", file=sys.stderr)
            continue
        if not run.lock():
            raise InputError(f"run.extend: another process is training in {run.path}")
        has = run.read_config()
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


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of the runs of an experiment, in their order."""
    return sorted(int(path.name) for path in folder.glob("*") if _NUMBER.fullmatch(path.name))


def _is_shorter(run: RunFolder, config: dict[str, Any]) -> bool:
    """Return whether a run is of this configuration with fewer epochs, or is being given the epochs of this one."""
    if not run.finished and run.same_configuration(config):
        return True
    has = run.read_config()
    return without_length(has) == without_length(config) and length_of(has) < length_of(config)


def _claim_named(run: RunFolder, resume: bool, config: dict[str, Any]) -> RunFolder:
    another = "choose another run.version"
    if run.finished:
        test = f", or test it: noisy-lightning test {shlex.quote(str(run.path))}" if run.checkpoints.exists() else ""
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


def _goes_on(run: RunFolder, config: dict[str, Any]) -> bool:
    """Return whether a run is unfinished and of this configuration; one that is damaged is named, and is not."""
    try:
        return not run.finished and (run.same_configuration(config) if run.config.exists() else run.is_empty)
    except (InputError, OSError) as error:
        print(f"passed over: {error}", file=sys.stderr)
        return False
