"""What each line of a table of images says: checked, and brought together where several are of one image."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from noisy_lightning.data.sets.columns import split_of
from noisy_lightning.data.sets.table_file import Table, TableRow
from noisy_lightning.errors import InputError

# True and false as spreadsheets of several languages and programs write them.
_TRUE = ("1", "1.0", "true", "yes", "wahr", "vrai", "verdadero", "vero", "waar")
_FALSE = ("", "0", "0.0", "false", "no", "falsch", "faux", "falso", "onwaar")
_MISSING = ("", "nan", "-1")  # ways of tables to say that there is no label


class TableLine(NamedTuple):
    """A line of the table, or all lines of an image."""

    where: str
    """File and line, as the beginning of an error."""
    path: str
    """Of the image, from the root."""
    label: str
    """Empty where there are several annotators: their consensus is to be found."""
    true_label: str
    """Empty where nobody knows it."""
    split: str
    """Train, val or test."""
    trusted: bool
    group: str
    """Empty where the image is in none."""
    annotations: Mapping[str, str]
    """Label by annotator; none where there are no annotators."""


def read_lines(table: Table, columns: Mapping[str, Sequence[str]], root: Path) -> list[TableLine]:
    """Return what the lines of a table say, one by one.

    Args:
        table: Its cells.
        columns: Names of columns by what they hold, as `find_columns` returns them.
        root: Folder that paths start from.

    Raises:
        InputError: A line is not as `ImageTable` wants it.
    """
    places = {meaning: [table.columns.index(name) for name in names] for meaning, names in columns.items()}
    return [_line(row, columns, places, root) for row in table.rows]


def by_image(lines: Sequence[TableLine]) -> list[TableLine]:
    """Bring together the annotations of each image, in the order in which the images appear.

    Raises:
        InputError: An annotator has labeled an image twice, or the lines of an image contradict each other.
    """
    found: dict[str, TableLine] = {}
    for line in lines:
        first = found.setdefault(line.path, line)
        if first is line:
            continue
        before = first.where.rpartition(", ")[2]
        if not line.annotations:
            raise InputError(f"{line.where}: {line.path} is there twice, first in {before}")
        for annotator in line.annotations.keys() & first.annotations.keys():
            raise InputError(f"{line.where}: annotator {annotator!r} has labeled {line.path} before: remove one line")
        for name in ("true_label", "split", "trusted", "group"):
            if getattr(line, name) != getattr(first, name):
                raise InputError(
                    f"{line.where}: {name} of {line.path} is {getattr(line, name)!r}, but {getattr(first, name)!r} in "
                    f"{before}"
                )
        found[line.path] = first._replace(annotations={**first.annotations, **line.annotations})
    return list(found.values())


def _line(
    row: TableRow, columns: Mapping[str, Sequence[str]], places: Mapping[str, Sequence[int]], root: Path
) -> TableLine:
    where, cells = row.where, [cell.strip() for cell in row.cells]

    def cell(meaning: str) -> str:
        return cells[places[meaning][0]] if meaning in places else ""

    path = _path(where, cell("path"), root)
    true_label, split, trusted = name_of(cell("true_label")), split_of(cell("split")), _is_true(cell("trusted"))
    if split is None:
        named = _named("split", columns)
        raise InputError(f"{where}: {named} must be train, val, test or empty, got {cell('split')!r}")
    if trusted is None:
        named = _named("trusted", columns)
        raise InputError(f"{where}: {named} must be 1, 0, true, false or empty, got {cell('trusted')!r}")
    labels = {name: name_of(cells[place]) for name, place in zip(columns["label"], places["label"], strict=True)}
    given = {name: label for name, label in labels.items() if label}
    if not given:
        raise InputError(f"{where}: there is no label for {path}, got {cell('label')!r}: fill it in or remove the line")
    label = next(iter(given.values())) if len(labels) == 1 else ""
    annotations: Mapping[str, str] = given if len(labels) > 1 else {}
    if "annotator" in columns and len(labels) == 1:
        if not cell("annotator"):
            raise InputError(f"{where}: there is no annotator for {path}: fill in who has labeled it")
        annotations = {cell("annotator"): label}
    return TableLine(where, path, label, true_label, split, trusted, cell("group"), annotations)


def _named(meaning: str, columns: Mapping[str, Sequence[str]]) -> str:
    """Return what a message calls a column that does not hold what its name promises."""
    name = columns[meaning][0]
    no_such = f"data.columns '{{{meaning}: null}}'"
    return meaning if name == meaning else f"{name}, read as the {meaning} unless {no_such} says otherwise,"


def _path(where: str, cell: str, root: Path) -> str:
    """Return the path of an image from the root."""
    if not cell or "\0" in cell:
        raise InputError(f"{where}: the path is empty")
    path = cell
    # A backslash can be part of a name, too, but of what is there it seldom is.
    if "\\" in path and not (root / path).exists():
        path = path.replace("\\", "/")
    relative = PurePosixPath(path)
    if relative.is_absolute():
        tops = (root.absolute(), root.resolve())
        relative = next((relative.relative_to(top) for top in tops if relative.is_relative_to(top)), relative)
    if relative.is_absolute() or ".." in relative.parts or re.match(r"[A-Za-z]:/", path):
        raise InputError(f"{where}: the path must be relative to data.root or lie below it, without '..', got {cell}")
    return relative.as_posix()


def _is_true(cell: str) -> bool | None:
    plain = cell.lower().replace(",", ".")
    return True if plain in _TRUE else False if plain in _FALSE else None


def name_of(cell: str) -> str:
    """Return a label as text, empty where there is none."""
    if cell.lower() in _MISSING:
        return ""
    # Beside empty cells, pandas writes the label 3 as 3.0, and a spreadsheet with decimal commas as 3,0. An accent can
    # be a character of its own, which nobody sees.
    return re.sub(r"^(\d+)[.,]0+$", r"\1", unicodedata.normalize("NFC", cell))
