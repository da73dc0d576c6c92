"""A report as files: one page that needs nothing else, tables for papers, the pictures."""

import base64
from collections.abc import Container, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure
from tqdm import tqdm

from noisy_lightning.experiments.ledger import write_ledger
from noisy_lightning.experiments.report import Report
from noisy_lightning.experiments.report_page import rendered
from noisy_lightning.experiments.report_runs import overall_facts, page_data
from noisy_lightning.experiments.selection_ledger import SELECTIONS_FILE, selection_row, write_selections
from noisy_lightning.experiments.written_tables import (
    COMPARED,
    DIFFERENCE,
    as_csv,
    as_latex,
    as_markdown,
    compared,
    comparison_as_markdown,
    literal,
)
from noisy_lightning.figures.saving import as_files, for_page
from noisy_lightning.runs.files import read_text, write_bytes, write_text

_WRITTEN = ".pictures"  # names of those that the last report drew
_LONGEST = 80  # letters of a setting in a file's name
_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


class _Picture(NamedTuple):
    title: str
    files: dict[str, bytes]

    @property
    def address(self) -> str:
        """As the page holds it."""
        kind = for_page(self.files)
        return f"data:{_TYPES[kind]};base64,{base64.b64encode(self.files[kind]).decode()}"


def tables_as_markdown(report: Report) -> str:
    """Return all tables of a report, what is published beside ours, and the selections."""
    parts = [as_markdown(table, report.comparisons) for table in report.tables]
    if report.comparisons:
        parts += ["Beside published numbers:", comparison_as_markdown(report.comparisons)]
    if report.selections:
        header, *lines = selection_lines(report)
        rule = f"| --- | --- |{' ---: |' * (len(header) - 2)}"
        parts.append(
            "\n".join([f"| {' | '.join(header)} |", rule, *(f"| {' | '.join(map(literal, line))} |" for line in lines)])
        )
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
    """Write `report.html`, `tables.md`, `tables.tex`, `tables.csv`, the ledger, and the pictures as PNG, PDF and SVG.

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
        prefixes: set[str] = set()
        for setting, figures in tqdm(report.settings(), "pictures", unit=" settings", leave=False, disable=None):
            drawn = {name: _picture(figure) for name, figure in figures.items()}
            prefixes.add(prefix := _as_name(setting, prefixes))
            paths += _save(folder / "figures", f"{prefix}_", drawn)
            by_setting[setting] = list(drawn.values())
        _remove_earlier(folder, paths)
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


def _remove_earlier(folder: Path, written: Sequence[Path]) -> None:
    """Remove pictures that an earlier report left in the folder and this one has no more; and no other file."""
    names = [path.relative_to(folder).as_posix() for path in written]
    earlier = folder / _WRITTEN
    if earlier.is_file():
        for name in set(read_text(earlier).splitlines()) - set(names):
            path = folder / "figures" / Path(name).name
            path.unlink(missing_ok=True)
    write_text(earlier, "".join(f"{name}\n" for name in names))


def _page(title: str, report: Report, overall: Sequence[_Picture], by_setting: Mapping[str, Sequence[_Picture]]) -> str:
    return rendered(
        page_data(report),
        title=title,
        report=report,
        facts=overall_facts(report),
        count=len(report.rows) + len(report.failed),
        compared=[COMPARED, *compared(report.comparisons)],
        difference=DIFFERENCE,
        selections=selection_lines(report),
        overall=overall,
        by_setting=by_setting,
    )


def _picture(figure: Figure) -> _Picture:
    return _Picture(figure.get_suptitle(), as_files(figure))


def _save(folder: Path, prefix: str, pictures: Mapping[str, _Picture]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = {
        folder / f"{prefix}{name}.{kind}": content
        for name, picture in pictures.items()
        for kind, content in picture.files.items()
    }
    for path, content in files.items():
        write_bytes(path, content)
    return list(files)


def _as_name(text: str, taken: Container[str]) -> str:
    """Return a text as the beginning of a file's name, of its own also where it is long or like another one."""
    name = "".join(letter if letter.isalnum() or letter in ".-+" else "-" for letter in text)
    if len(name) <= _LONGEST and name not in taken:
        return name
    return f"{name[:_LONGEST]}-{sha256(text.encode()).hexdigest()[:8]}"
