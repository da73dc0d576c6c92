"""noisy-lightning report: tables and pictures of runs that have finished."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.page import tables_as_markdown, write_report
from noisy_lightning.experiments.report import gather


def run_report(args: Sequence[str]) -> None:
    """Collect runs, print their tables and write the report.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work.
    """
    options = _parser().parse_args(list(args))
    report = gather(options.runs, options.across)
    lines = [tables_as_markdown(report), *report.notes()]
    if not options.only_print:
        folder = options.out or (options.runs[0] / "report" if options.runs[0].is_dir() else Path("report"))
        title = ", ".join(path.name for path in options.runs)
        try:
            page, *others = write_report(folder, report, title, not options.no_figures, options.parquet)
        except OSError as error:
            raise InputError(f"out: cannot write to {folder}: {error.strerror or error}") from error
        kinds = "tables as Markdown, LaTeX and CSV, the ledger, pictures"
        lines.append(f"page: {page}, and {len(others)} files beside it: {kinds}")
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # the reader has seen enough, such as head; Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """Say in one line what is wrong, like every other command."""
        raise InputError(f"report: {message}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="noisy-lightning report",
        description="Tables of test accuracy, mean and standard deviation over seeds, with published numbers beside "
        "them, and pictures: as one page, Markdown, LaTeX, CSV and PNG.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", help="folder of a sweep, of a run or of several runs, or a ledger in CSV"
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: report/ in the first of RUNS, or here)")
    parser.add_argument(
        "--across",
        metavar="AXIS",
        help="axis whose values are columns: of the grid, or epoch, the one that accuracy is of (default: the last of "
        "several, or else epoch)",
    )
    parser.add_argument("--no-figures", action="store_true", help="write tables only")
    parser.add_argument("--parquet", action="store_true", help="write the ledger as Parquet, too (needs pyarrow)")
    parser.add_argument("--only-print", action="store_true", help="print the tables as Markdown, and write nothing")
    return parser
