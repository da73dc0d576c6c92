"""Tables on standard output: drawn by rich where that is a terminal and rich is installed, else plain text."""

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_GAP = 2  # between columns
_SHORTEST_NAME = 8


def plain(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as text, which programs may read: the first column to the left, the others to the right.

    Args:
        rows: Cells; the first row has the heads.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a table, as wide as the terminal allows.

    Args:
        rows: Cells; the first row has the heads.
    """
    if not sys.stdout.isatty() or find_spec("rich") is None:
        print(plain(rows))
        return
    # It goes by NO_COLOR, the terminal's width and its encoding.
    console: Any = import_module("rich.console").Console(highlight=False)
    box = import_module("rich.box").SIMPLE_HEAD
    table: Any = import_module("rich.table").Table(box=box, collapse_padding=True, pad_edge=False, show_edge=False)
    (name, *heads), *body = rows
    numbers = [max(map(len, column)) for column in zip(*(row[1:] for row in body), strict=True)]
    words = [max(map(len, head.split())) for head in heads]
    # Names are cut and numbers are not, whose heads go over several lines first.
    left = console.width - sum(max(sizes) + _GAP for sizes in zip(numbers, words, strict=True))
    table.add_column(_text(name), no_wrap=True, max_width=max(left, _SHORTEST_NAME))
    for head, width in zip(heads, numbers, strict=True):
        table.add_column(_text(head), justify="right", min_width=width)
    for row in body:
        table.add_row(*map(_text, row))
    console.print(table)


def plain_texts(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts, which programs may read: all columns to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def print_texts(rows: Sequence[Sequence[str]], has_heads: bool = False) -> None:
    """Print a table of texts, which a terminal folds within their columns.

    Args:
        rows: Cells, of which the first are names.
        has_heads: Whether the first row has the heads.
    """
    if not sys.stdout.isatty() or find_spec("rich") is None:
        print(plain_texts(rows))
        return
    box = import_module("rich.box").SIMPLE_HEAD
    table: Any = import_module("rich.table").Table(
        box=box, collapse_padding=True, pad_edge=False, show_edge=False, show_header=has_heads
    )
    heads, body = (rows[0], rows[1:]) if has_heads else ([""] * len(rows[0]), rows)
    for place, head in enumerate(heads):
        table.add_column(_text(head), overflow="fold", style="bold" if not place else None)
    for row in body:
        table.add_row(*map(_text, row))
    import_module("rich.console").Console(highlight=False).print(table)


def print_markdown(text: str) -> None:
    """Print tables in Markdown: as they are where programs may read them."""
    if not sys.stdout.isatty() or find_spec("rich") is None:
        print(text)
        return
    encoding = sys.stdout.encoding or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    import_module("rich.console").Console().print(import_module("rich.markdown").Markdown(shown))


def print_no_more() -> None:
    """Have the rest of standard output go nowhere: its reader, such as `head`, has seen enough and is gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would complain at its end


def survive_encodings() -> None:
    """Have what standard output and error cannot encode, such as a class name on Windows, replaced, not raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors="backslashreplace")


def _text(cell: str) -> Any:
    """Return a cell of which nothing is markup, as the terminal can show it: later it would become wider."""
    encoding = sys.stdout.encoding or "utf-8"
    return import_module("rich.text").Text(cell.encode(encoding, "backslashreplace").decode(encoding))
