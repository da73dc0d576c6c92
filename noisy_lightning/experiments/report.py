"""What a report shows of runs: tables, published numbers, pictures over all settings and for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.axes import EPOCH, axes_of, axis_across, distinct, further_axes, place_of
from noisy_lightning.experiments.ledger import ACCURACIES, Row, failed_row, read_ledger, row_of
from noisy_lightning.experiments.setting_pictures import over_epochs, pictures_of
from noisy_lightning.experiments.sweep_folder import MANIFEST_FILE, SweepFolder
from noisy_lightning.experiments.tables import NAMES, Comparison, Table, comparisons_of, tables_of
from noisy_lightning.figures import experiments as figures
from noisy_lightning.figures.panels import Over
from noisy_lightning.figures.samples import selection_quality
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.summary import divergence

_NO_NOISE = "NoNoise"


@dataclass
class Report:
    """Runs and what to show of them.

    Args:
        rows: Of the ledger, of finished runs.
        failed: Rows of runs that have failed.
        missing: Names of runs that a sweep has yet to do.
        selections: Folders of finished selections, by `noisy-lightning clean`.
        across: The axis whose values are columns of the tables, `EPOCH` among them; None: the last of several, or else
            `EPOCH`.
        elsewhere: Folders of ledgers' runs in whose place there is another run here.
    """

    rows: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    selections: list[RunFolder] = field(default_factory=list)
    across: str | None = None
    elsewhere: set[str] = field(default_factory=set)

    @cached_property
    def tables(self) -> list[Table]:
        """A table for each kind of accuracy."""
        return tables_of(self.rows, self.across) if self.rows else []

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Published numbers beside ours."""
        return comparisons_of(self.rows, self.across) if self.rows else []

    def owns_folder(self, row: Row) -> bool:
        """Return whether what lies in a run's folder, if anything, is of this run."""
        return row["run"] not in self.elsewhere

    def _has_curves(self, row: Row) -> bool:
        return self.owns_folder(row) and RunFolder(Path(row["run"])).metrics.exists()

    def provenance(self) -> list[str]:
        """Return with what the runs were made, as the head of the page has it, too."""
        notes = []
        for what, column in (("versions of noisy_lightning", "version_noisy_lightning"), ("commits", "git_commit")):
            found = {str(row[column])[:12] for row in self.rows if row.get(column)}
            if len(found) > 1:
                notes.append(f"The runs are of {len(found)} {what}: {', '.join(sorted(found))}.")
        hardware = {f"{row['devices']} × {row['device']}, {row['precision']}" for row in self.rows}
        return [*notes, *([f"Hardware: {'; '.join(sorted(hardware))}."] if hardware else [])]

    def notes(self) -> list[str]:
        """Return what a reader has to know of the runs as a whole, beside what they were made with."""
        notes = []
        hours = sum(row["seconds"] or 0 for row in self.rows) / 3600
        notes.append(f"Runs: {len(self.rows)}, {hours:.1f} hours in all." if self.rows else "")
        if any(row.get("oracle") is True for row in self.rows):
            notes.append("(oracle): the run knew what only an experiment knows of the true labels.")
        if further := further_axes(self.rows):
            notes.append(f"Besides the axes of their sweeps, runs differ in {', '.join(further)}: axes here, too.")
        if repeated := len(self.rows) - len(distinct(self.rows)):
            notes.append(f"Runs with the settings and seeds of others: {repeated}. Each of these counts once.")
        notes += [f"Diverged, and went on: {row['run']}: {row['diverged']}" for row in self.rows if row.get("diverged")]
        notes += [f"Without curves, as {run} here is another run or has gone on." for run in sorted(self.elsewhere)]
        notes += [f"Failed: {row['run']}: {row['error']}" for row in self.failed]
        if self.missing:
            notes.append(f"Yet to do: {len(self.missing)} {'run' if len(self.missing) == 1 else 'runs'}.")
        return [note for note in notes if note]

    def overall_figures(self) -> Iterator[tuple[str, Figure]]:
        """Yield names and pictures of all runs together."""
        for measure in ACCURACIES:
            if panels := self._over_rates(measure):
                title = f"Test accuracy, {NAMES[measure]}"
                yield f"{measure}_over_noise_rate", figures.accuracy_over_rate(panels, title)
        for measure in ("label_precision", "label_recall"):
            if panels := self._over_rates(measure):
                name = measure.replace("_", " ")
                title = f"{name.capitalize()} of what is kept, last epoch"
                yield f"{measure}_over_noise_rate", figures.accuracy_over_rate(panels, title, name)
        training, test = self._over_rates("acc_train"), self._over_rates("acc_last")
        for kind in test.keys() & training.keys():
            methods = {
                name: {"training": training[kind][name], "test": over}
                for name, over in test[kind].items()
                if name in training[kind]
            }
            yield f"train_and_test_{kind}", figures.train_and_test(methods, f"Accuracy at the last epoch, {kind} noise")
        yield from self._by_method()
        for run in self.selections:
            result = run.read_result()
            if iterations := result.get("iterations"):
                pairs = [(one["label_precision"], one["label_recall"]) for one in iterations]
                yield f"selection_{run.path.parent.name}_{run.path.name}", selection_quality(pairs, str(run.path))

    def settings(self) -> Iterator[tuple[str, Mapping[str, Figure]]]:
        """Yield each setting with the pictures of its runs, as far as their folders are there."""
        axes = axes_of(self.rows)
        across = list(axes)[-1] if self.across == EPOCH and len(axes) > 1 else axis_across(axes, self.across)
        settings: dict[str, dict[str, list[Path]]] = {}
        functions: dict[str, dict[str, str]] = {}
        for row in self.rows:
            if self._has_curves(row):
                name, setting = place_of(row, axes, across)
                setting = setting or "all runs"
                settings.setdefault(setting, {}).setdefault(name, []).append(Path(row["run"]))
                functions.setdefault(setting, {})[name] = str(row.get("loss"))
        for setting, methods in settings.items():
            yield setting, dict(pictures_of(_heading(across, setting), methods, functions[setting]))

    def _by_method(self) -> Iterator[tuple[str, Figure]]:
        """Yield pictures of each method that several settings have: over the epochs, a line for each setting."""
        axes = axes_of(self.rows)
        across = list(axes)[-1] if self.across in (None, EPOCH) and len(axes) > 1 else axis_across(axes, self.across)
        methods: dict[str, dict[str, list[Path]]] = {}
        for row in self.rows:
            if self._has_curves(row):
                name, setting = place_of(row, axes, across)
                methods.setdefault(name, {}).setdefault(setting, []).append(Path(row["run"]))
        for number, (name, settings) in enumerate(methods.items(), 1):
            if len(settings) > 1:
                metrics = {
                    _heading(across, one): [RunFolder(run).read_metrics() for run in runs]
                    for one, runs in settings.items()
                }
                for picture, figure in over_epochs(metrics, name, dict.fromkeys(metrics, name)):
                    yield f"{picture}_of_method_{number}", figure

    def _over_rates(self, measure: str) -> dict[str, dict[str, Over]]:
        """Return a measure by kind of noise and method, over nominal rates; runs without noise belong to each kind.

        A kind with one rate is left out where there are others with more.
        """
        axes = axes_of(self.rows)
        across = list(axes)[-1] if self.across in (None, EPOCH) else axis_across(axes, self.across)
        points: dict[str, dict[str, dict[float, list[float]]]] = {}
        rates: dict[str, set[float]] = {}
        for row in self.rows:
            if row["rate_nominal"]:
                rates.setdefault(row["noise_kind"], set()).add(row["rate_nominal"])
        kinds = {kind for kind, own in rates.items() if len(own) > 1} or set(rates)
        for row in self.rows:
            if row.get(measure) is None or row["rate_nominal"] is None:
                continue
            name = place_of(row, axes, across)[0]
            for kind in kinds if row["noise_kind"] == _NO_NOISE else kinds & {row["noise_kind"]}:
                at = points.setdefault(kind, {}).setdefault(name, {}).setdefault(float(row["rate_nominal"]), [])
                at.append(row[measure])
        return {
            kind: {name: Over(sorted(at), [at[rate] for rate in sorted(at)]) for name, at in methods.items()}
            for kind, methods in sorted(points.items())
            if len({rate for at in methods.values() for rate in at}) > 1
        }


def _heading(across: str | None, setting: str) -> str:
    """Return what pictures call a setting: a bare number with the end of its key, such as `noise rate 0.4`."""
    if across is None or not setting.replace(".", "", 1).isdigit():
        return setting
    return f"{' '.join(across.split('.')[-2:])} {setting}"


def collect(paths: Sequence[Path], across: str | None = None) -> Report:
    """Collect the finished runs of folders and ledgers.

    Args:
        paths: Each the folder of a sweep, of a run or of several runs, or a ledger in CSV.
        across: As for `Report`.

    Raises:
        InputError: A path holds nothing of the kind, or something is damaged.
    """
    report = Report(across=across)
    for path in paths:
        if path.is_file():
            rows = read_ledger(path)
            _add(report, rows)
            report.elsewhere |= {row["run"] for row in rows if _is_elsewhere(row)}
        elif (path / MANIFEST_FILE).is_file():
            folder = SweepFolder(path)
            _add(report, folder.rows())
            report.missing += folder.missing()
            if folder.selections.is_dir():
                _add_runs(report, folder.selections)
        else:
            _add_runs(report, path)
    if not report.rows and not report.selections:
        failed = "".join(f"; {row['run']} has failed: {row['error']}" for row in report.failed[:1])
        raise InputError(f"no finished run in {', '.join(map(str, paths))}{failed}")
    return report


def _add(report: Report, rows: Sequence[Row]) -> None:
    for row in rows:
        (report.failed if row.get("status") == "failed" else report.rows).append(row)


def _is_elsewhere(row: Row) -> bool:
    """Return whether the folder in which a ledger has a run holds what came out of another one."""
    if row.get("status") == "failed":
        return False
    try:
        result = RunFolder(Path(row["run"])).read_result()
    except InputError:  # said where its curves are read
        return False
    seconds, noise = result.get("seconds"), result.get("noise") or {}
    return bool(result) and (seconds, noise.get("label_hash")) != (row["seconds"], row.get("noise_hash"))


def _add_runs(report: Report, path: Path) -> None:
    """Add a run, or all runs right below a folder."""
    if not path.is_dir():
        raise InputError(f"there is no folder or ledger {path}")
    folders = [path] if (path / "config.yaml").is_file() else sorted(path.glob("*/config.yaml"), key=_natural)
    for run in (RunFolder(folder if folder.is_dir() else folder.parent) for folder in folders):
        try:
            result = run.read_result()
            if "selected" in result:
                report.selections.append(run)
            elif "epochs" in result:
                report.rows.append(row_of(run.path))
            elif "diverged" in result:
                report.failed.append(failed_row(run.path, f"diverged: {divergence(result['diverged'])}"))
            else:
                report.missing.append(str(run.path))
        except InputError as error:  # it is damaged: said of it, and the others are reported
            report.failed.append(failed_row(run.path, str(error)))


def _natural(config: Path) -> tuple[int, str]:
    """Sort versions as numbers."""
    name = config.parent.name
    return (int(name), "") if name.isdigit() else (0, name)
