"""Writes the tables of results in the READMEs anew from the ledgers in notebooks/results: make results."""

import re
from pathlib import Path

from noisy_lightning.experiments.report import gather
from noisy_lightning.experiments.written_tables import as_markdown

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "notebooks/results/README.md")
_BLOCK = re.compile(r"(<!-- table of (\S+)(?: across (\S+))? -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(text: str) -> str:
    """Return a text with each table between its marks as its ledger has it."""
    return _BLOCK.sub(lambda block: f"{block[1]}{_table(ROOT / block[2], block[3])}\n{block[4]}", text)


def _table(ledger: Path, across: str | None) -> str:
    """Return a ledger's first table: where it has several, that of the last epoch, which every run has."""
    report = gather([ledger], across)
    return as_markdown(report.tables[0], report.comparisons)


if __name__ == "__main__":
    for path in READMES:
        path.write_text(filled(path.read_text()))
