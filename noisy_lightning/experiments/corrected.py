"""A copy of a data set of files with corrected labels; the original is never touched."""

import csv
import io
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from noisy_lightning.data import ImageFolder, ImageTable
from noisy_lightning.data.sets.file_data import Listing
from noisy_lightning.data.sets.table_file import read_table
from noisy_lightning.data.sets.table_lines import TableLine
from noisy_lightning.errors import InputError, cannot_write
from noisy_lightning.runs.files import as_cell, write_text
from noisy_lightning.runs.measures import Bools, Ints

CORRECTIONS_FILE = "corrections.csv"


@dataclass(frozen=True)
class Place:
    """An image of a training set and where it goes."""

    index: int
    old: str
    """Its path below the root."""
    new: str | None
    """Its path below the new root; None: it is left out."""


def write_table(out: Path, data: ImageTable, labels: Ints, keep: Bools) -> None:
    """Write a table without what is left out, in which the labels are corrected and all other cells are as they were.

    It is UTF-8 with commas, whatever the original is. Where that has several annotators, it has a line per image with
    one label: who has looked at an image again knows more than they.

    Args:
        out: The file, which must not be there yet.
        data: The data set.
        labels: (N,) corrected labels.
        keep: (N,) whether a sample is in the copy; test images are in any case.

    Raises:
        InputError: The file is there, or would not be read back with these labels.
    """
    if out.suffix != ".csv":
        raise InputError(f"out must be a .csv file for an ImageTable, got {out}")
    classes, train, _ = data.list_files()
    if data.classes is None:
        _check_classes(classes, labels[keep & ~_validation(train)])
    lines = data.lines()
    header, rows = _of_images(data, lines, classes) if data.is_crowd else _cells(data)
    place = [name.strip() for name in header].index("label" if data.is_crowd else data.found_columns["label"][0])
    kept, index = [header], 0
    for line, cells in zip(lines, rows, strict=True):
        if line.split == "test":
            kept.append(cells)
            continue
        if keep[index]:
            name = classes[labels[index]]
            kept.append(cells if name == line.label else [*cells[:place], name, *cells[place + 1 :]])
        index += 1
    with _new(out) as staged:
        write_text(staged, _as_csv(kept))
        columns = None if data.is_crowd else data.columns
        again = ImageTable(staged, data.root, data.classes, columns, clean=data.clean, broken=data.broken)
        _check_same(again, classes, {train.names[one]: int(labels[one]) for one in np.flatnonzero(keep).tolist()})


def write_folder(out: Path, data: ImageFolder, labels: Ints, keep: Bools) -> int:
    """Write a folder tree without what is left out, in which each image lies in the folder of its corrected class.

    Its files are hard links, which take no space, since `ImageFolder` follows no link out of its root; where the file
    system has none, they are copies. Whoever changes the content of a file in place therefore changes both. What has
    another path or is left out is listed in `corrections.csv`, with its index in the original. A `test` folder that
    belongs to the data set is taken over as it is.

    Args:
        out: The folder, which must not be there yet.
        data: The data set.
        labels: (N,) corrected labels.
        keep: (N,) whether a sample is in the copy.

    Returns:
        How many files had to be copied.

    Raises:
        InputError: The folder is there or lies in the data set's, a class would be without images, or the folder would
            not be read back with these labels.
    """
    if out.absolute().resolve().is_relative_to(data.root.resolve()):
        raise InputError(f"out: {out} lies in {data.root}, whose folders are classes: name one elsewhere")
    classes, train, test = data.list_files()
    _check_classes(classes, labels[keep & ~_validation(train)])
    places = _places(train, classes, labels, keep)
    files = [(place.old, place.new) for place in places if place.new is not None]
    if test is not None and data.test_root is None:
        files += [(name, name) for name in test.names]
    with _new(out) as staged:
        staged.mkdir()
        copied = sum(_link(data.root / old, staged / new) for old, new in files)
        changed = [(str(one.index), as_cell(one.old), as_cell(one.new or "")) for one in places if one.new != one.old]
        write_text(staged / CORRECTIONS_FILE, _as_csv([("index", "path", "new_path"), *changed]))
        again = ImageFolder(staged, data.test_root)
        _check_same(again, classes, {one.new: int(labels[one.index]) for one in places if one.new is not None})
    return copied


def _as_csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(data: ImageTable) -> tuple[list[str], list[list[str]]]:
    """Return the names and the cells of a table as they are."""
    table = read_table(data.csv, data.encoding, data.columns)
    return table.header, [row.cells for row in table.rows]


def _of_images(
    data: ImageTable, lines: Sequence[TableLine], classes: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """Return a table with a line for each image of several annotators; the label of a training image is to come."""
    _, _, test = data.list_files()
    tested = iter([] if test is None else test.true_labels.tolist())
    header = ["path", "label", "true_label", "split", "trusted", "group"]
    rows = []
    for line in lines:
        label = classes[next(tested)] if line.split == "test" else ""
        rows.append([line.path, label, line.true_label, line.split, str(int(line.trusted)), line.group])
    return header, rows


def _validation(listing: Listing) -> Bools:
    mask: Bools = np.zeros(len(listing.names), np.bool_) if listing.validation is None else listing.validation.numpy()
    return mask


def _check_classes(classes: Sequence[str], labels: Ints) -> None:
    """Refuse a class that no image is left of: the classes after it would have other numbers."""
    counts = np.bincount(labels, minlength=len(classes))
    if not counts.all():
        name = classes[int(np.argmin(counts))]
        raise InputError(f"apply: no image of {name} would be left to train on, and the classes be others: keep one")


def _places(train: Listing, classes: Sequence[str], labels: Ints, keep: Bools) -> list[Place]:
    """Return where each image goes: its class's folder is another, and the rest of its path the same."""
    parts = [PurePosixPath(name).parts for name in train.names]
    folders = [classes[label] for label in train.given_labels.tolist()]
    # train/cat/1.png, or cat/1.png.
    nested = all(
        len(one) > 2 and one[0] in ("train", "val") and one[1] == folder
        for one, folder in zip(parts, folders, strict=True)
    )
    moved = labels != train.given_labels.numpy()
    taken = {train.names[index].casefold() for index in np.flatnonzero(keep & ~moved).tolist()}
    places = []
    for index, (name, one) in enumerate(zip(train.names, parts, strict=True)):
        new = name if keep[index] else None
        if keep[index] and moved[index]:
            path = PurePosixPath(*one[:nested], classes[labels[index]], *one[nested + 1 :])
            new = next(free for free in _names(path, folders[index]) if free.casefold() not in taken)
            taken.add(new.casefold())
        places.append(Place(index, name, new))
    return places


def _names(path: PurePosixPath, folder: str) -> Iterator[str]:
    """Yield what a moved image can be called, the simplest first."""
    yield path.as_posix()
    number = 1
    while True:
        yield path.with_name(f"{path.stem}_from_{folder}{f'_{number}' * (number > 1)}{path.suffix}").as_posix()
        number += 1


def _link(old: Path, new: Path) -> bool:
    """Make a hard link, or a copy where there can be none; return whether it is a copy."""
    new.parent.mkdir(parents=True, exist_ok=True)
    real = old.resolve()  # a link within the root may lead to what is left out
    try:
        os.link(real, new)
    except OSError:  # another file system, or one without such links, or too many of them
        shutil.copy2(real, new)
        return True
    return False


def _check_same(again: ImageTable | ImageFolder, classes: Sequence[str], wanted: dict[str, int]) -> None:
    """Refuse a copy that is read as something else than what it should be."""
    found, train, _ = again.list_files()
    if list(found) != list(classes) or dict(zip(train.names, train.given_labels.tolist(), strict=True)) != wanted:
        raise InputError("out: the copy is not read with the corrected labels: has the data set changed meanwhile?")


@contextmanager
def _new(out: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `out` once the block ends without an error; else nothing is left."""
    if out.exists() or out.is_symlink():
        raise InputError(f"out: {out} is there already, and is left as it is: name another")
    staged = out.with_name(f".{out.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield staged
        staged.rename(out)
    except OSError as error:
        raise cannot_write("out", out, error) from error
    finally:
        if staged.is_dir():
            shutil.rmtree(staged)
        staged.unlink(missing_ok=True)
