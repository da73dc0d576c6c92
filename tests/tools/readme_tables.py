"""Writes what was measured, in the READMEs and in the heads of configurations, from notebooks/results: make results."""

import fnmatch
import re
import shlex
import statistics
import textwrap
from collections.abc import Iterable
from pathlib import Path

from noisy_lightning.experiments.axes import EPOCH
from noisy_lightning.experiments.ledger import AXIS, Row, read_ledger
from noisy_lightning.experiments.report import collect
from noisy_lightning.experiments.selection_ledger import compared_selectors, read_selections
from noisy_lightning.experiments.tables import NAMES, tables_of
from noisy_lightning.experiments.written_tables import as_markdown

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "notebooks/results/README.md")
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
_BLOCK = re.compile(r"(<!-- table of (\S+)(?: across (\S+))? -->\n).*?(<!-- end of table -->)", re.DOTALL)
_SELECTIONS = re.compile(r"(<!-- selections of (\S+) -->\n).*?(<!-- end of selections -->)", re.DOTALL)
# From the name of the ledger to the command that says which of its rows are meant.
MEASURED = re.compile(
    r"# Measured, (\S+\.csv)\b.*?\n(#   noisy-lightning sweep --config \w+ --only ([^\n]+)\n)", re.DOTALL
)
_ERRORS = re.compile(r"(<!-- errors of (\S+) -->\n).*?(<!-- end of errors -->)", re.DOTALL)
_LEARNED = re.compile(r"(<!-- what is learned of (\S+) -->\n).*?(<!-- end of what is learned -->)", re.DOTALL)
_MEASURES = {
    "test accuracy": "acc_last",
    "wrong labels memorized": "memorised",
    "corrected": "corrected",
    "right among kept": "label_precision",
    "kept among right": "label_recall",
}
_WIDTH = 120


def filled(text: str) -> str:
    """Return a text with each table between its marks as its ledger has it."""
    text = _BLOCK.sub(lambda block: f"{block[1]}{_table(ROOT / block[2], block[3])}\n{block[4]}", text)
    text = _ERRORS.sub(lambda block: f"{block[1]}{_errors(ROOT / block[2])}\n{block[3]}", text)
    text = _LEARNED.sub(lambda block: f"{block[1]}{_learned(ROOT / block[2])}\n{block[3]}", text)
    return _SELECTIONS.sub(lambda block: f"{block[1]}{_compared(ROOT / block[2])}\n{block[3]}", text)


def with_measured(text: str) -> str:
    """Return a configuration whose head says what the ledger has of the rows that its command names."""
    return MEASURED.sub(lambda block: f"{_paragraph(block[1], shlex.split(block[3]))}\n{block[2]}", text)


def _table(ledger: Path, across: str | None) -> str:
    """Return a ledger's first table: where it has several, that of the last epoch, which every run has."""
    report = collect([ledger], across)
    return as_markdown(report.tables[0], report.comparisons)


def _compared(ledger: Path) -> str:
    """Return the table of a ledger of selections."""
    return compared_selectors(read_selections(ledger))


def _errors(ledger: Path) -> str:
    """Return the table of ‖T̂ − T‖₁ / ‖T‖₁ of a ledger of ten classes: mean and standard deviation over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in read_ledger(ledger):
        of_method = found.setdefault(str(row[f"{AXIS}method"]), {})
        of_method.setdefault(str(row[f"{AXIS}noise"]), []).append(10 * float(row["transition_error"]))
    noises = next(iter(found.values()))
    lines = [f"| method | {' | '.join(noises)} | n |", f"| --- |{' ---: |' * (len(noises) + 1)}"]
    for method, errors in found.items():
        cells = [f"{statistics.mean(own):.3f} ± {statistics.stdev(own):.3f}" for own in errors.values()]
        lines.append(f"| {method} | {' | '.join(cells)} | {_unique(len(own) for own in errors.values())} |")
    return "\n".join(lines)


def _learned(ledger: Path) -> str:
    """Return the table of what each method learned by its last epoch, in %: mean and standard deviation over seeds."""
    methods: dict[str, list[Row]] = {}
    for row in read_ledger(ledger):
        methods.setdefault(str(row[f"{AXIS}method"]), []).append(row)
    lines = [f"| method | {' | '.join(_MEASURES)} |", f"| --- |{' ---: |' * len(_MEASURES)}"]
    for method, rows in methods.items():
        columns = ([100 * row[name] for row in rows if row[name] is not None] for name in _MEASURES.values())
        cells = (f"{statistics.mean(own):.1f} ± {statistics.stdev(own):.1f}" if own else "–" for own in columns)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _paragraph(ledger: str, only: Iterable[str]) -> str:
    rows = _chosen(read_ledger(ROOT / ledger), only)
    (table,) = tables_of(rows, across=EPOCH)
    chosen, last = NAMES["acc_chosen"], NAMES["acc_last"]
    shown = [name for name in (chosen, last) if name in table.columns]
    numbers = ", ".join(
        f"{name} {' and '.join(cells[column].text for column in shown)} %" for name, cells in table.rows.items()
    )
    when = "at the epoch chosen on noisy validation and at the last" if chosen in shown else "at the last epoch"
    rates = (f"{100 * row['rate_realised']:.2f} % of labels wrong" for row in rows)
    facts = [
        *(_unique(row["dataset"] for row in rows), _unique(rates), _unique(row["backbone"] for row in rows)),
        *(f"{_unique(row['epochs'] for row in rows)} epochs", _unique(row["precision"] for row in rows)),
        *(_unique(row["device"] for row in rows), table.caption.rpartition("(")[2].rstrip(")")),
    ]
    return textwrap.fill(
        f"Measured, {ledger} ({', '.join(facts)}), test accuracy {when}: {numbers}. The command:",
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _chosen(rows: Iterable[Row], only: Iterable[str]) -> list[Row]:
    """Return the rows that `--only` of a sweep names."""
    patterns: dict[str, list[str]] = {}
    for one in only:
        axis, _, pattern = one.partition("=")
        patterns.setdefault(f"{AXIS}{axis}", []).append(pattern)
    return [
        row
        for row in rows
        if all(any(fnmatch.fnmatchcase(str(row[axis]), one) for one in those) for axis, those in patterns.items())
    ]


def _unique(values: Iterable[object]) -> str:
    return " or ".join(dict.fromkeys(map(str, values)))


if __name__ == "__main__":
    for path in READMES:
        path.write_text(filled(path.read_text()))
    for path in CONFIGS:
        path.write_text(with_measured(path.read_text()))
