"""Tables of accuracies: mean and standard deviation over seeds, which are the best, what is published beside them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import mean, stdev
from typing import NamedTuple

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.best import FEWEST, THE_TEST, marks
from noisy_lightning.experiments.grid import SEED
from noisy_lightning.experiments.headings import heading, named
from noisy_lightning.experiments.ledger import ACCURACIES, AXIS, PUBLISHED, Row
from noisy_lightning.experiments.published import MEASURES, Published, find
from noisy_lightning.experiments.settings import ABSENT, Settings, differing, from_text, value_at

NAMES = {
    "acc_last": "last epoch",
    "acc_mean_last_10": "mean of the last ten epochs",
    "acc_chosen": "epoch chosen on noisy validation",
    "acc_best_oracle": "best epoch on the test set: an oracle's choice",
}
EPOCH = "epoch"  # as an axis: at which epoch accuracy is taken, the keys of NAMES
# Columns of the ledger that distinguish runs where no axis of a sweep does, in the order of a table's rows.
_TRAITS: tuple[str, ...] = ("dataset", "backbone", "method", "loss", "optimizer", "batch_size", "epochs")
_TRAITS += ("val_fraction", "validation", "precision", "noise")

Axes = Mapping[str, Callable[[Row], str]]
"""What distinguishes runs: by name, what a table calls a run's value."""


class Cell(NamedTuple):
    """Accuracies of the runs that differ in nothing but their seeds."""

    values: Sequence[float]
    """In %."""
    task: str = ""
    """Data set and noise: accuracies of different ones do not compete."""
    best: bool = False
    """Whether it is the best of those that it competes with by a test, or cannot be told from it: bold."""
    highest: bool = False
    """Whether its mean is the highest of those that it competes with, and no test shows more: italic."""

    @property
    def mean(self) -> float:
        """In %."""
        return mean(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation in %; 0 for a single run, which has none."""
        return stdev(self.values) if len(self.values) > 1 else 0.0

    @property
    def text(self) -> str:
        """Such as `84.23 ± 0.15`."""
        return f"{self.mean:.2f}" + (f" ± {self.std:.2f}" if len(self.values) > 1 else "")


class Column(NamedTuple):
    """What a column of a table is of."""

    setting: str
    """Value of the axis across; empty if that is `EPOCH`."""
    measure: str
    """Column of the ledger."""


@dataclass(frozen=True)
class Table:
    """Test accuracies by method and setting, or by method and epoch."""

    corner: str
    """What the rows are."""
    columns: Mapping[str, Column]
    """By name."""
    rows: Mapping[str, Mapping[str, Cell]]
    """By row and column; what has not been run is absent."""
    differences: Mapping[str, float] = field(default_factory=dict)
    """By column, the smallest difference in points that the test finds; only where it compares within columns."""

    @property
    def note(self) -> str:
        """What marked cells are, and by which test; empty where none is marked."""
        cells = [cell for row in self.rows.values() for cell in row.values()]
        single = any(len(cell.values) < 2 for cell in cells)
        tested = bool(self.differences) or any(cell.best for cell in cells) or not single
        ties = any(len(cell.values) >= FEWEST for cell in cells if cell.best)
        texts = []
        if any(cell.best for cell in cells):
            which = "and what the test cannot tell from it" if ties else "where the test finds all others lower"
            texts.append(f"Bold: the highest mean, {which}.")
        if any(cell.highest for cell in cells):
            untested = " or needs a second run" if single and tested else ""
            texts.append(
                f"Italic: the highest mean where the test finds too little{untested}."
                if tested
                else "Italic: the highest of single runs, which no test can tell from chance."
            )
        return " ".join([*texts, *([THE_TEST] if texts and tested else [])])

    @property
    def caption(self) -> str:
        """What the numbers are and of how many runs."""
        counts = {len(cell.values) for row in self.rows.values() for cell in row.values()}
        runs = "n = " + (str(counts.pop()) if len(counts) == 1 else f"{min(counts)} to {max(counts)}")
        epochs = {NAMES[column.measure] for column in self.columns.values() if column.setting}
        return f"{', '.join(['Test accuracy in %', *epochs])} ({runs})"


class Comparison(NamedTuple):
    """A published number beside ours."""

    row: str
    column: str
    published: Published
    ours: Cell | None
    """By the epoch rule of the publication; None where we have no such number."""

    @property
    def difference(self) -> float | None:
        """Ours minus the published number in points; None where there is nothing to compare."""
        if self.ours is None or not self.published.comparable:
            return None
        return self.ours.mean - self.published.value


def axes_of(rows: Sequence[Row]) -> Axes:
    """Return what distinguishes runs, seeds aside: those that agree in all of it differ in nothing else.

    These are the axes of the sweeps that the rows come from, or else the traits in which they differ; and what runs
    differ in besides: other traits, and dotted keys of the configuration. A row of a ledger that an older version wrote
    has no keys but its traits.
    """
    names = dict.fromkeys(key.removeprefix(AXIS) for row in rows for key in row if key.startswith(AXIS))
    names.pop(SEED, None)
    if names:
        axes: dict[str, Callable[[Row], str]] = {name: partial(_cell, f"{AXIS}{name}") for name in names}
    else:
        traits = [name for name in _TRAITS if len({_cell(name, row) for row in rows}) > 1] or ["loss", "noise"]
        axes = {name: partial(_cell, name) for name in traits}
    further: dict[str, Callable[[Row], str]] = {}
    for group in _groups(rows, axes):
        further |= {
            n: partial(_cell, n) for n in _TRAITS if n not in axes and len({_cell(n, row) for row in group}) > 1
        }
    for group in _groups(rows, {**axes, **further}):
        known = [settings for row in group if (settings := _settings(row)) is not None]
        further |= {key: partial(_value_of, key) for key in differing(known)} if known else {}
    *first, last = axes
    order = [*first, *further, last] if first else [last, *further]
    return {name: (axes | further)[name] for name in order}


def further_axes(rows: Sequence[Row]) -> list[str]:
    """Return in what runs differ besides the axes of their sweeps."""
    names = {key.removeprefix(AXIS) for row in rows for key in row if key.startswith(AXIS)}
    return [name for name in axes_of(rows) if name not in names] if names else []


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Return rows without those of the same settings and seeds as an earlier one: they are no further sample."""
    found: dict[Hashable, Row] = {}
    for number, row in enumerate(rows):
        seeds = row.get("seed"), row.get("data_seed"), row.get("noise_hash")
        key = (row["settings"], row.get("oracle"), *seeds) if row.get("settings") else row.get("run") or number
        found.setdefault(key, row)
    return list(found.values())


def _groups(rows: Sequence[Row], axes: Axes) -> list[list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*(value(row) for value in axes.values()), str(row.get("oracle"))), []).append(row)
    return list(groups.values())


def _settings(row: Row) -> Settings | None:
    return from_text(row["settings"]) if row.get("settings") else None


def _cell(column: str, row: Row) -> str:
    """Return what a column of the ledger holds; the epochs that a run was to have, not those after which it ended."""
    settings = _settings(row) if column == "epochs" else None
    planned = None if settings is None else (settings.get("trainer") or {}).get("max_epochs")
    value = row.get(column) if planned is None else planned
    return ABSENT if value is None else str(value)


def _value_of(key: str, row: Row) -> str:
    settings = _settings(row)
    return ABSENT if settings is None else value_at(settings, key)


def axis_across(axes: Axes, across: str | None = None) -> str:
    """Return the axis whose values are the columns of tables: the one asked for, or the last of several, or `EPOCH`.

    Args:
        axes: As `axes_of` returns them.
        across: Its name; None: none is asked for.

    Raises:
        InputError: There is no such axis.
    """
    if across is None:
        return list(axes)[-1] if len(axes) > 1 else EPOCH
    if across not in axes and across != EPOCH:
        raise InputError(f"across: there is no axis {across}; there are {', '.join([*axes, EPOCH])}")
    return across


def place_of(row: Row, axes: Axes, across: str) -> tuple[str, str]:
    """Return the name of a run's row in a table, and its setting, which is empty if `across` is `EPOCH`.

    Args:
        row: Of the ledger.
        axes: As `axes_of` returns them.
        across: As `axis_across` returns it.
    """
    labels = {name: named(name, value(row)) for name, value in axes.items()}
    setting = labels.pop(across, "")
    marks = " (oracle)" * (row.get("oracle") is True) + " (diverged)" * bool(row.get("diverged"))
    return (", ".join(labels.values()) or "all") + marks, setting


def tables_of(rows: Sequence[Row], across: str | None = None) -> list[Table]:
    """Return a table for each kind of test accuracy that any run has, or one of all kinds across the epoch.

    Args:
        rows: Of finished runs.
        across: The axis whose values are columns, `EPOCH` among them; None: the last of several, or else `EPOCH`.

    Raises:
        InputError: There is no such axis.
    """
    axes = axes_of(rows)
    across = axis_across(axes, across)
    measures = [measure for measure in ACCURACIES if any(row.get(measure) is not None for row in rows)]
    if across == EPOCH:
        columns = [{NAMES[measure]: Column("", measure) for measure in measures}] if measures else []
    else:
        settings = list(dict.fromkeys(place_of(row, axes, across)[1] for row in rows))
        columns = [{setting: Column(setting, measure) for setting in settings} for measure in measures]
    cells = _cells(rows, axes, across)
    corner = ", ".join(heading(name) for name in axes if name != across) or "runs"
    return [_table(corner, names, cells) for names in columns]


def comparisons_of(rows: Sequence[Row], across: str | None = None) -> list[Comparison]:
    """Return every published number for the runs, as their sweeps name the sources.

    Args:
        rows: Of finished runs.
        across: As for `tables_of`.
    """
    axes = axes_of(rows)
    across = axis_across(axes, across)
    cells = _cells(rows, axes, across)
    found: dict[tuple[str, str, Published], Comparison] = {}
    for row in rows:
        if not row.get(f"{PUBLISHED}source"):
            continue
        names = [str(row.get(f"{PUBLISHED}{axis}") or value(row)) for axis, value in axes.items()]
        down, over = place_of(row, axes, across)
        for one in find(row[f"{PUBLISHED}source"].split("; "), row["dataset"], names):
            ours = cells.get(down, {}).get(Column(over, MEASURES[one.epoch_rule]))
            found[down, over, one] = Comparison(down, over, one, ours)
    return list(found.values())


def published_in(table: Table, comparisons: Sequence[Comparison]) -> dict[tuple[str, str], list[Published]]:
    """Return, by row and column of a table, the published numbers that its kind of accuracy can be compared with."""
    found: dict[tuple[str, str], list[Published]] = {}
    names = {column: name for name, column in table.columns.items()}
    for one in comparisons:
        name = names.get(Column(one.column, MEASURES[one.published.epoch_rule]))
        if one.published.comparable and name is not None:
            found.setdefault((one.row, name), []).append(one.published)
    return found


def _cells(rows: Sequence[Row], axes: Axes, across: str) -> dict[str, dict[Column, Cell]]:
    """Return the accuracies by name of the row, setting and kind."""
    cells: dict[str, dict[Column, Cell]] = {}
    for row in distinct(rows):
        name, setting = place_of(row, axes, across)
        for measure in ACCURACIES:
            if row.get(measure) is not None:
                column = Column(setting, measure)
                before = cells.setdefault(name, {}).get(column, Cell((), f"{row.get('dataset')} {row.get('noise')}"))
                cells[name][column] = before._replace(values=[*before.values, 100 * row[measure]])
    return cells


def _table(corner: str, columns: Mapping[str, Column], cells: Mapping[str, Mapping[Column, Cell]]) -> Table:
    rows: dict[str, dict[str, Cell]] = {}
    for row, found in cells.items():
        line = {name: found[column] for name, column in columns.items() if column in found}
        if line:
            rows[row] = line
    differences = _mark(rows, columns)
    return Table(corner, columns, rows, differences)


def _mark(rows: Mapping[str, dict[str, Cell]], columns: Mapping[str, Column]) -> dict[str, float]:
    """Mark what `marks` finds in each column, or in each row where rows are what differs in its noise.

    Returns:
        The smallest difference found by column, where all of a column compete.
    """
    down: dict[tuple[str, str], list[tuple[str, str]]] = {}
    along: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row, line in rows.items():
        for name, cell in line.items():
            down.setdefault((name, cell.task), []).append((row, name))
            along.setdefault((columns[name].measure, cell.task), []).append((row, name))
    is_down = any(len(group) > 1 for group in down.values())
    differences: dict[str, float] = {}
    for (name, _), group in (down if is_down else along).items():
        found = marks([rows[row][column].values for row, column in group])
        for place, (row, column) in enumerate(group):
            cell = rows[row][column]
            rows[row][column] = cell._replace(best=place in found.best, highest=place in found.highest)
        if is_down and found.difference is not None and len(group) == sum(name in line for line in rows.values()):
            differences[name] = found.difference
    return differences
