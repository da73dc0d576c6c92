"""The folder of a run: where its files lie, and what came out of it."""

import csv
import errno
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import is_unfinished, read_json, sweep_up, write_text
from noisy_lightning.runs.identity import deciding
from noisy_lightning.runs.locks import Lock
from noisy_lightning.runs.summary import divergence
from noisy_lightning.runs.yaml_file import read_yaml

FOLDS = "folds"
_LOCK = ".lock"
_MAPPINGS = ("noise", "last_epoch", "best_epoch", "test", "validate", "hardware", "versions")  # in a result


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
            InputError: There is no such file; says so where the run has diverged.
        """
        path = self.checkpoints / f"{name}.ckpt" if name in ("best", "last") else Path(name)
        if not path.is_file():
            if self.folds.is_dir():
                raise InputError(f"{self.path} is a selection, whose runs are in {self.folds}")
            found = ", ".join(sorted(file.stem for file in self.checkpoints.glob("*.ckpt"))) or "none"
            diverged = self.read_result().get("diverged")
            with reading(self.result):
                why = f"; it has diverged: {divergence(diverged)}" if diverged else ""
            raise InputError(f"no checkpoint {name} at {path}; {self.path} has: {found}{why}")
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

    def read_metrics(self) -> list[dict[str, str]]:
        """Return the rows of `metrics.csv`, one an epoch, as texts; none where there is no such file.

        Raises:
            InputError: It is damaged.
        """
        if not self.metrics.is_file():
            return []
        with reading(self.metrics), self.metrics.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

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


def _without_nan(value: Any) -> Any:
    """Return plain data with null for what is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
