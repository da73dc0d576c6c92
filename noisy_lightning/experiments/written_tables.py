"""Tables written down: Markdown, LaTeX and CSV."""

import csv
import io
import re
from collections.abc import Sequence

from noisy_lightning.experiments.tables import Cell, Comparison, Table, published_in
from noisy_lightning.runs.files import as_cell

COMPARED = ("method", "setting", "ours", "published", "difference", "published by", "epoch", "protocol there")

DIFFERENCE = "difference that the test finds (median)"
# What would end a cell, begin HTML, or change how the text looks; "_" within a word does nothing.
_IN_MARKDOWN = re.compile(r"[\\|*<`]|(?<!\w)_|_(?!\w)")


def as_markdown(table: Table, comparisons: Sequence[Comparison] = ()) -> str:
    """Return a table with its caption, published numbers of the same epoch rule in brackets."""
    theirs = published_in(table, comparisons)
    sources = ", ".join(dict.fromkeys(one.citation for cell in theirs.values() for one in cell))
    caption = table.caption + (f"; in brackets: {sources}" if sources else "")
    lines = [
        f"{caption}. {table.note}" if table.note else f"{caption}:",
        "",
        f"| {literal(table.corner)} | {' | '.join(map(literal, table.columns))} |",
    ]
    lines.append(f"| --- |{' ---: |' * len(table.columns)}")
    for name, cells in table.rows.items():
        texts = [_marked(cells.get(column), "**{}**", "*{}*", "–") for column in table.columns]
        beside = ["; ".join(f"{one.value:.2f}" for one in theirs.get((name, column), ())) for column in table.columns]
        shown = [f"{ours} ({other})" if other else ours for ours, other in zip(texts, beside, strict=True)]
        lines.append(f"| {literal(name)} | {' | '.join(shown)} |")
    if table.differences:
        lines.append(f"| {DIFFERENCE} | {' | '.join(_differences(table, '–'))} |")
    return "\n".join(lines)


def as_latex(table: Table) -> str:
    """Return a table for LaTeX with the package booktabs."""
    lines = [r"\begin{table}", r"  \centering", rf"  \caption{{{_tex(table.caption)}.}}"]
    lines += [rf"  \begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"    \toprule"]
    lines.append(f"    {' & '.join(_tex(text) for text in (table.corner, *table.columns))} \\\\")
    lines.append(r"    \midrule")
    for name, cells in table.rows.items():
        texts = [
            _marked(cells.get(column), r"\textbf{{{}}}", r"\textit{{{}}}", "--").replace("±", r"$\pm$")
            for column in table.columns
        ]
        lines.append(f"    {_tex(name)} & {' & '.join(texts)} \\\\")
    if table.differences:
        lines += [r"    \midrule", f"    {DIFFERENCE} & {' & '.join(_differences(table, '--'))} \\\\"]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    if table.note:
        lines += ["", rf"  \smallskip{{\footnotesize {_tex(table.note)}}}"]
    return "\n".join([*lines, r"\end{table}"])


def as_csv(tables: Sequence[Table]) -> str:
    """Return the cells of tables, a line each, in %."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["measure", "row", "column", "mean", "std", "n", "best", "highest"])
    for table in tables:
        for name, cells in table.rows.items():
            for column, cell in cells.items():
                spread = f"{cell.std:.4f}" if len(cell.values) > 1 else ""
                setting, measure = table.columns[column]
                names = map(as_cell, (measure, name, setting))
                writer.writerow(
                    [*names, f"{cell.mean:.4f}", spread, len(cell.values), int(cell.best), int(cell.highest)]
                )
    return buffer.getvalue()


def compared(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Return the texts of a table with the columns `COMPARED`."""
    lines = []
    for row, column, there, ours in comparisons:
        value = f"{there.value:.2f}" + (f" ± {there.std:.2f}" if there.std is not None else "")
        one = Comparison(row, column, there, ours)
        difference = "not compared" if not there.comparable else "–"
        lines.append(
            [
                row,
                column,
                "–" if ours is None else ours.text,
                value if there.comparable else f"{value} (from memory)",
                difference if one.difference is None else f"{one.difference:+.2f}",
                ", ".join(text for text in (there.citation, there.table, there.n and f"n = {there.n}") if text),
                there.epoch_rule,
                "; ".join(text for text in (there.protocol, there.noise_convention) if text),
            ]
        )
    return lines


def comparison_as_markdown(comparisons: Sequence[Comparison]) -> str:
    """Return published numbers beside ours."""
    lines = [f"| {' | '.join(COMPARED)} |", "| --- | --- | ---: | ---: | ---: | --- | --- | --- |"]
    return "\n".join(lines + [f"| {' | '.join(map(literal, texts))} |" for texts in compared(comparisons)])


def literal(text: str) -> str:
    """Return a text as Markdown shows it letter by letter, in a cell of a table, too."""
    return _IN_MARKDOWN.sub(lambda found: f"\\{found[0]}", text)


def _marked(cell: Cell | None, bold: str, italic: str, nothing: str) -> str:
    if cell is None:
        return nothing
    return (bold if cell.best else italic if cell.highest else "{}").format(cell.text)


def _differences(table: Table, nothing: str) -> list[str]:
    found = [table.differences.get(column) for column in table.columns]
    return [nothing if one is None else f"{one:.2f}" for one in found]


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{"}
    special |= {"}": r"\}", "±": r"$\pm$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, letter) for letter in text)
