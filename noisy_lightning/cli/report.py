"""noisy-lightning report: tables and pictures of runs that have finished."""

from collections.abc import Sequence
from pathlib import Path

from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.help import own_parser
from noisy_lightning.cli.screen import print_markdown, print_no_more
from noisy_lightning.errors import cannot_write
from noisy_lightning.experiments.page import tables_as_markdown, write_report
from noisy_lightning.experiments.report import collect


def run_report(args: Sequence[str]) -> None:
    """Collect runs, print their tables and write the report.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work.
    """
    options = own_parser(BY_NAME["report"]).parse_args(args)
    report = collect(options.runs, options.across)
    lines = [*report.provenance(), *report.notes()]
    if not options.only_print:
        folder = options.out or (options.runs[0] / "report" if options.runs[0].is_dir() else Path("report"))
        title = ", ".join(map(_title, options.runs))
        try:
            page, *others = write_report(folder, report, title, not options.no_figures, options.parquet)
        except OSError as error:
            raise cannot_write("out", folder, error) from error
        kinds = f"tables as Markdown, LaTeX and CSV, the ledger{'' if options.no_figures else ', pictures'}"
        lines.append(f"page: {page}, and {len(others)} files beside it: {kinds}")
    try:
        print_markdown(tables_as_markdown(report))
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # everything is written
        print_no_more()


def _title(path: Path) -> str:
    """Return what a path is called: a run that is called by a number, with its experiment."""
    *_, folder, name = ("", *path.resolve().parts)
    return f"{folder}/{name}" if name.isdigit() else name
