"""The folder of a sweep: which runs it has, what there is of each, and their ledger."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from noisy_lightning.errors import InputError, reading
from noisy_lightning.experiments.ledger import AXIS, LEDGER_FILE, PUBLISHED, Row, failed_row, row_of, write_ledger
from noisy_lightning.experiments.settings import SELECTIONS
from noisy_lightning.runs.claims import checked_name
from noisy_lightning.runs.files import read_json, read_text, write_text
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.locks import Lock

MANIFEST_FILE = "sweep.json"
_PARTS = ("logs", "errors", ".locks")


@dataclass(frozen=True)
class ManifestEntry:
    """What the manifest says of a run."""

    name: str
    """Of its folder."""
    labels: Mapping[str, str]
    """By axis."""
    published: Mapping[str, str]
    """By axis, what a publication calls the value, where that is another name."""


@dataclass
class SweepFolder:
    """Files of a sweep: `<run>/`, `logs/<run>.log`, `errors/<run>.txt`, the manifest and the ledger.

    Args:
        path: The folder.
    """

    path: Path
    _rows: dict[str, Row] = field(default_factory=dict, repr=False)

    def make(self) -> None:
        """Make the folder and its parts."""
        for name in _PARTS:
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def run(self, name: str) -> RunFolder:
        """Return the files of a run."""
        return RunFolder(self.path / name)

    def log(self, name: str) -> Path:
        """Return the file with a run's output."""
        return self.path / "logs" / f"{name}.log"

    def error(self, name: str) -> Path:
        """Return the file with the error that a run ended in, if it did."""
        return self.path / "errors" / f"{name}.txt"

    def reason(self, name: str) -> str | None:
        """Return the error that a run ended in, or why that cannot be read; None if it ended in none."""
        try:
            return read_text(self.error(name)).strip() if self.error(name).exists() else None
        except InputError as error:
            return str(error)

    @property
    def selections(self) -> Path:
        """Folder of the selections that runs are trained on."""
        return self.path / SELECTIONS

    @contextmanager
    def held(self, name: str, wait: bool = False) -> Iterator[bool]:
        """Claim a run for as long as the block, or the process, lasts; yields whether it was free.

        Args:
            name: Of the run, of a selection or of a file.
            wait: Whether to wait until it is.
        """
        lock = Lock(self.path / ".locks" / name)
        try:
            yield lock.acquire(wait)
        finally:
            lock.release()

    def done(self, name: str) -> bool:
        """Return whether a run has been trained and tested, as far as there is something to test; not if damaged."""
        try:
            result = self.run(name).read_result()
        except InputError:
            return False
        return "epochs" in result and ("test" in result or not result.get("test_set", True))

    def epochs_done(self, name: str) -> int:
        """Return how many epochs a run has behind it."""
        try:
            return max(0, len(self.run(name).metrics.read_bytes().splitlines()) - 1)
        except FileNotFoundError:
            return 0

    def state(self, name: str) -> str:
        """Return what there is of a run, in a word or two."""
        if self.done(name):
            return "done"
        if self.error(name).exists():
            return "failed"
        return f"epoch {self.epochs_done(name)}" if self.run(name).config.exists() else "to do"

    def write_manifest(self, entries: Sequence[ManifestEntry], published: Sequence[str]) -> None:
        """Write down which runs there are, in their order, and the sources to compare with."""
        content = {"published": list(published), "runs": [vars(entry) for entry in entries]}
        with self.held(MANIFEST_FILE, wait=True):
            write_text(self.path / MANIFEST_FILE, json.dumps(content, indent=1) + "\n")

    def rows(self) -> list[Row]:
        """Return the ledger: a row for each run of the manifest that is done, has failed or is damaged.

        Raises:
            InputError: The manifest is damaged.
        """
        published, entries = self._manifest()
        sources = "; ".join(published)
        rows = []
        for entry in entries:
            if (row := self._row(entry.name)) is not None:
                axes = {f"{AXIS}{axis}": label for axis, label in entry.labels.items()}
                names = {f"{PUBLISHED}{axis}": name for axis, name in entry.published.items()}
                rows.append({**axes, **row, f"{PUBLISHED}source": sources or None, **names})
        return rows

    def write_ledger(self) -> None:
        """Write the ledger, if there is anything to write; of several processes the last has the rows of all."""
        with self.held(LEDGER_FILE, wait=True):
            if rows := self.rows():
                write_ledger(self.path / LEDGER_FILE, rows)

    def missing(self) -> list[str]:
        """Return the names of runs that are neither done nor failed nor damaged."""
        return [entry.name for entry in self._manifest()[1] if self._row(entry.name) is None]

    def _row(self, name: str) -> Row | None:
        if name in self._rows:
            return self._rows[name]
        run = self.run(name)
        try:
            run.read_result()
            if self.done(name):
                self._rows[name] = {"status": "done", **row_of(run.path), "error": None}
                return self._rows[name]
        except InputError as error:
            return failed_row(run.path, str(error))
        reason = self.reason(name)
        return None if reason is None else failed_row(run.path, reason)

    def _manifest(self) -> tuple[list[str], list[ManifestEntry]]:
        """Return the sources to compare with and the runs.

        Raises:
            InputError: The file that says so is damaged.
        """
        path = self.path / MANIFEST_FILE
        content = read_json(path)
        with reading(path):
            return [str(source) for source in content["published"]], [_entry(**run) for run in content["runs"]]


def _entry(name: str, labels: Mapping[str, str], published: Mapping[str, str]) -> ManifestEntry:
    """Return what a manifest says of a run."""
    texts = ({str(axis): str(one[axis]) for axis in one} for one in (labels, published))
    return ManifestEntry(checked_name("name", name), *texts)
