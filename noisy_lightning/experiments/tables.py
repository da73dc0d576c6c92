"""Tables of accuracies: mean and standard deviation over seeds, which are the best, what is published beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import NamedTuple

from noisy_lightning.experiments.axes import EPOCH, Axes, axes_of, axis_across, distinct, place_of
from noisy_lightning.experiments.best import FEWEST, THE_TEST, marks
from noisy_lightning.experiments.headings import heading
from noisy_lightning.experiments.ledger import ACCURACIES, PUBLISHED, Row
from noisy_lightning.experiments.published import MEASURES, Published, find

NAMES = {
    "acc_last": "last epoch",
    "acc_mean_last_10": "mean of the last ten epochs",
    "acc_chosen": "epoch chosen on noisy validation",
    "acc_best_oracle": "best epoch on the test set: an oracle's choice",
}


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
        alone = all(len(cell.values) < 2 for cell in cells)
        tested = bool(self.differences) or any(cell.best for cell in cells) or not single
        ties = any(len(cell.values) >= FEWEST for cell in cells if cell.best)
        texts = []
        if any(cell.best for cell in cells):
            tied = "and what the test cannot tell from it, unless only for being unsteady"
            which = tied if ties else "where the test finds all others lower"
            texts.append(f"Bold: the highest mean, {which}.")
        if any(cell.highest for cell in cells):
            untested = " or needs a second run" if single and tested else ""
            texts.append(
                f"Italic: the highest mean where the test finds too little{untested}."
                if tested
                else "Italic: the highest of single runs, which no test can tell from chance."
                if alone
                else "Italic: the highest mean; single runs among them allow no test."
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
