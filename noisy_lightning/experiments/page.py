"""A report as files: one page that needs nothing else, tables for papers, the pictures."""

import base64
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from noisy_lightning.experiments.ledger import write_ledger
from noisy_lightning.experiments.report import Report
from noisy_lightning.experiments.selection_ledger import SELECTIONS_FILE, selection_row, write_selections
from noisy_lightning.experiments.written_tables import (
    COMPARED,
    as_csv,
    as_latex,
    as_markdown,
    compared,
    comparison_as_markdown,
)
from noisy_lightning.figures.style import as_array, as_png
from noisy_lightning.runs.files import write_bytes, write_text

_DPI = 130


class _Picture(NamedTuple):
    title: str
    png: bytes

    @property
    def base64(self) -> str:
        """As the page holds it."""
        return base64.b64encode(self.png).decode()


def tables_as_markdown(report: Report) -> str:
    """Return all tables of a report, what is published beside ours, and the selections."""
    parts = [as_markdown(table, report.comparisons) for table in report.tables]
    if report.comparisons:
        parts += ["Beside published numbers:", comparison_as_markdown(report.comparisons)]
    if report.selections:
        header, *lines = selection_lines(report)
        rule = f"| --- | --- |{' ---: |' * (len(header) - 2)}"
        parts.append("\n".join([f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(line)} |" for line in lines)]))
    return "\n\n".join(parts) + "\n"


def selection_lines(report: Report) -> list[list[str]]:
    """Return a header and a line per selection, such as by `noisy-lightning clean`."""
    header = ["selection", "data", "selected", "label precision", "label recall", "estimated noise", "real noise"]
    header += ["AUROC", "average precision"]
    lines = []
    for run in report.selections:
        result = run.read_result()
        numbers = [result.get(name) for name in ("label_precision", "label_recall", "estimated_noise_rate")]
        numbers += [result["noise"]["realised_rate"], result.get("auroc"), result.get("average_precision")]
        shown = [
            f"{result['selected']:,} of {result['samples']:,}",
            *("–" if n is None else f"{n:.3f}" for n in numbers),
        ]
        lines.append([result["selector"]["kind"], f"{result['dataset']}, {result['noise']['kind']}", *shown])
    return [header, *lines]


def write_report(folder: Path, report: Report, title: str, pictures: bool = True, parquet: bool = False) -> list[Path]:
    """Write `report.html`, `tables.md`, `tables.tex`, `tables.csv`, the ledger and the pictures.

    Args:
        folder: Made if missing; files of the same names are replaced.
        report: What to show.
        title: Heading of the page.
        pictures: Whether there are any.
        parquet: Whether the ledger is written as Parquet, too.

    Returns:
        The files, the page first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "tables.md": tables_as_markdown(report),
        "tables.tex": "\n\n".join(map(as_latex, report.tables)) + "\n",
        "tables.csv": as_csv(report.tables),
    }
    overall: list[_Picture] = []
    by_setting: dict[str, list[_Picture]] = {}
    paths = []
    if pictures:
        shown = {name: _picture(figure) for name, figure in report.overall_figures()}
        paths += _save(folder / "figures", "", shown)
        overall += shown.values()
        for setting, figures in report.settings():
            drawn = {name: _picture(figure) for name, figure in figures.items()}
            paths += _save(folder / "figures", f"{_as_name(setting)}_", drawn)
            by_setting[setting] = list(drawn.values())
    texts = {"report.html": _page(title, report, overall, by_setting), **texts}
    for name, text in texts.items():
        write_text(folder / name, text)
    selections = [folder / SELECTIONS_FILE] if report.selections else []
    if selections:
        write_selections(selections[0], [selection_row(run) for run in report.selections])
    ledgers = [folder / f"ledger.{kind}" for kind in ("csv", *(["parquet"] if parquet else []))] if report.rows else []
    for path in ledgers:
        write_ledger(path, [*report.rows, *report.failed])
    return [*(folder / name for name in texts), *ledgers, *selections, *paths]


def _page(title: str, report: Report, overall: Sequence[_Picture], by_setting: Mapping[str, Sequence[_Picture]]) -> str:
    """Return the page, in which no text from outside can be anything but text."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        report=report,
        compared=[COMPARED, *compared(report.comparisons)],
        selections=selection_lines(report),
        overall=overall,
        by_setting=by_setting,
    )


def _picture(figure: Figure) -> _Picture:
    return _Picture(figure.get_suptitle(), as_png(as_array(figure, _DPI), _DPI))


def _save(folder: Path, prefix: str, pictures: Mapping[str, _Picture]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{prefix}{name}.png" for name in pictures]
    for path, picture in zip(paths, pictures.values(), strict=True):
        write_bytes(path, picture.png)
    return paths


def _as_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-+" else "-" for letter in text)
