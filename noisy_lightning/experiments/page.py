"""A report as files: one page that needs nothing else, tables for papers, the pictures."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from noisy_lightning.experiments.ledger import write_ledger
from noisy_lightning.experiments.report import Report
from noisy_lightning.experiments.tables import Table
from noisy_lightning.experiments.written_tables import (
    COMPARED,
    as_csv,
    as_latex,
    as_markdown,
    compared,
    comparison_as_markdown,
)
from noisy_lightning.runs.files import replacing

_DPI = 130
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; background: #fff; max-width: 82rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.6rem 0 1.4rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: 0.3rem; }
th, td { padding: 0.25rem 0.5rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid #888; vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
td.long { white-space: normal; min-width: 16rem; }
img { max-width: 100%; height: auto; display: block; margin: 0.8rem 0; }
details { border-top: 1px solid #ccc; padding: 0.5rem 0; } summary { cursor: pointer; font-weight: 600; }
@media print { details { break-inside: avoid; } .wide { overflow: visible; } }
"""


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
    body = _tables(report)
    paths = []
    if pictures:
        shown = dict(report.overall_figures())
        paths += _save(folder / "figures", "", shown)
        body += "".join(map(_image, shown.values()))
        for setting, figures in report.settings():
            paths += _save(folder / "figures", f"{_as_name(setting)}_", figures)
            images = "".join(map(_image, figures.values()))
            body += f"<details><summary>{html.escape(setting)}</summary>{images}</details>\n"
    texts = {"report.html": _page(title, body), **texts}
    for name, text in texts.items():
        with replacing(folder / name) as staged:
            staged.write_text(text, encoding="utf-8")
    ledgers = [folder / f"ledger.{kind}" for kind in ("csv", *(["parquet"] if parquet else []))] if report.rows else []
    for path in ledgers:
        write_ledger(path, [*report.rows, *report.failed])
    return [*(folder / name for name in texts), *ledgers, *paths]


def _page(title: str, body: str) -> str:
    title = html.escape(title)
    head = f'<meta charset="utf-8"><title>{title}</title><meta name="viewport" content="width=device-width">'
    body = f"<body><h1>{title}</h1>\n{body}</body>"
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n{body}</html>\n'


def _tables(report: Report) -> str:
    parts = [f"<p>{html.escape(note)}</p>\n" for note in report.notes()]
    parts += map(_table, report.tables)
    if report.tables:
        parts.append(
            "<p>Bold: the best on the same data, and what the standard deviations do not tell from it. A single run "
            "has no standard deviation: a difference of a point or two may be chance.</p>\n"
        )
    if report.comparisons:
        parts.append("<h2>Beside published numbers</h2>\n")
        parts.append(_lines([list(COMPARED), *compared(report.comparisons)], texts=(0, 1, 5, 6, 7), long=(7,)))
    if report.selections:
        parts += ["<h2>Selections</h2>\n", _lines(selection_lines(report), texts=(0, 1))]
    return "".join(parts)


def _table(table: Table) -> str:
    rows = []
    for name, cells in table.rows.items():
        found = (cells.get(column) for column in table.columns)
        texts = ("–" if one is None else f"<b>{one.text}</b>" if one.best else one.text for one in found)
        rows.append(f"<tr><td>{html.escape(name)}</td>{''.join(f'<td>{text}</td>' for text in texts)}</tr>\n")
    head = "".join(f"<th>{html.escape(name)}</th>" for name in (table.corner, *table.columns))
    caption = f"<caption>{html.escape(table.caption)}</caption>"
    return f'<div class="wide"><table>{caption}<tr>{head}</tr>\n{"".join(rows)}</table></div>\n'


def _lines(lines: Sequence[Sequence[str]], texts: Sequence[int], long: Sequence[int] = ()) -> str:
    """Return a table; columns `texts` are not numbers, and `long` ones may be broken."""
    rows = []
    for number, line in enumerate(lines):
        tag = "td" if number else "th"
        cells = (
            f'<{tag} class="{"text" * (column in texts)} {"long" * (column in long)}">{html.escape(text)}</{tag}>'
            for column, text in enumerate(line)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>\n")
    return f'<div class="wide"><table>{"".join(rows)}</table></div>\n'


def _image(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{picture}" alt="{html.escape(figure.get_suptitle())}">\n'


def _save(folder: Path, prefix: str, figures: Mapping[str, Figure]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{prefix}{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        with replacing(path) as staged:
            figure.savefig(staged, format="png", dpi=_DPI)
    return paths


def _as_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-+" else "-" for letter in text)
