"""Which images a command line names, and what is known of their labels."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from noisy_lightning.data.loading.opening import SUFFIXES
from noisy_lightning.data.sets.columns import SYNONYMS, find_columns
from noisy_lightning.data.sets.table_file import read_table
from noisy_lightning.data.sets.table_lines import name_of
from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import of_cell

_LISTED = 20  # classes that a message lists


def find_images(given: Sequence[Path], left_out: Path) -> list[Path]:
    """Return all images that a command line names, sorted by path.

    Files are taken as they are; of a folder, and of those in it, the files whose names end like those of images, none
    of which begins with a dot.

    Args:
        given: Files and folders.
        left_out: A folder that is not searched.

    Raises:
        InputError: One of them is not there, or a folder holds no image.
    """
    found: set[str] = set()  # which are sorted in a fraction of the time that paths take
    for path in given:
        if not path.exists():
            raise InputError(f"images: there is no file or folder {path}")
        files = set(_below(path, left_out)) if path.is_dir() else {str(path)}
        if not files:
            raise InputError(f"images: {path} holds no image ({', '.join(SUFFIXES)})")
        found |= files
    return [Path(name) for name in sorted(found)]


def _below(folder: Path, left_out: Path) -> Iterator[str]:
    def fail(error: OSError) -> None:
        raise InputError(f"images: cannot read {error.filename}: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [
            name for name in folders if not name.startswith(".") and Path(place, name).absolute() != left_out.absolute()
        ]
        prefix = str(Path(place, "_"))[:-1]
        yield from (prefix + name for name in files if not name.startswith(".") and name.lower().endswith(SUFFIXES))


def image_labels(
    paths: Sequence[Path], given: Sequence[Path], labels: str | None, class_names: Sequence[str]
) -> list[int] | None:
    """Return the label of each image, -1 where it has none; None where no image has one.

    Args:
        paths: The images.
        given: Files and folders that the command line names.
        labels: A table with columns path and label, as `read_table` reads it; `none`; None: images in
            `FOLDER/CLASS/` are of that class.
        class_names: K names, by label.

    Raises:
        InputError: It is not clear which labels the images have.
    """
    if labels == "none":
        return None
    by_name = {name: label for label, name in enumerate(class_names)}
    known: dict[str, int] = {}
    if labels is not None:
        known = _of_table(Path(labels), by_name)
        found = [known.get(os.path.abspath(path), -1) for path in paths]  # noqa: PTH100  # also takes '..' away
        if max(found) < 0:
            raise InputError(f"labels: {labels} has no line of these images; its paths start from its own folder")
        if unknown := len(known) - len({os.path.abspath(path) for path in paths} & known.keys()):  # noqa: PTH100
            print(f"labels: {unknown:,} of {len(known):,} lines of {labels} name none of these images", file=sys.stderr)
        return found
    for folder in given:
        if folder.is_dir():
            known |= _of_folders(folder, [path for path in paths if path.is_relative_to(folder)], by_name)
    return [known.get(str(path), -1) for path in paths] if known else None


def _of_folders(folder: Path, paths: Sequence[Path], classes: dict[str, int]) -> dict[str, int]:
    """Return the labels of images by path, where all that the folder holds are folders of classes; else nothing."""
    tops = {path: path.relative_to(folder).parts for path in paths}
    names = {parts[0] if len(parts) > 1 else "" for parts in tops.values()}
    small = {name.casefold() for name in classes}
    if not any(name.casefold() in small for name in names):
        return {}
    if unknown := sorted(name for name in names if name not in classes):
        named = sorted(name for name in names if name.casefold() in small)[0]
        what = f"{folder / unknown[0]} is no class of the run" if unknown[0] else "others lie beside them"
        alike = [name for name in classes if name.casefold() == unknown[0].casefold()]
        if alike:
            raise InputError(
                f"images: {folder / unknown[0]} is no class of the run, but {alike[0]} is: rename one, or say --labels "
                "none to have no labels"
            )
        raise InputError(
            f"images: {folder / named} seems to hold images of a class, but {what}: move them, or say --labels none to "
            "have none, or --labels FILE (CSV with columns path and label)"
        )
    return {str(path): classes[parts[0]] for path, parts in tops.items()}


def _of_table(path: Path, classes: dict[str, int]) -> dict[str, int]:
    """Return the labels of images by absolute path."""
    table = read_table(path, None, {}, "labels")
    where = f"labels: {path}"
    columns = find_columns(where, table.columns, None, {name: SYNONYMS[name] for name in ("path", "label")})
    if columns.keys() != {"path", "label"} or len(columns["label"]) > 1:
        named = ", ".join(table.columns) or "nothing"
        raise InputError(f"{where} must name the columns path and label in its first line, not {named}")
    places = [table.columns.index(columns[name][0]) for name in ("path", "label")]
    labels: dict[str, int] = {}
    for row in table.rows:
        file, label = (of_cell(row.cells[place].strip()) for place in places)
        name = name_of(label)
        if name not in classes:
            listed = ", ".join(list(classes)[:_LISTED]) + ", …" * (len(classes) > _LISTED)
            raise InputError(f"{row.where}: {name!r} is no class of the run, which are {listed}")
        place = os.path.abspath(path.parent / file)  # noqa: PTH100
        if labels.setdefault(place, classes[name]) != classes[name]:
            raise InputError(f"{row.where}: {file} is there twice, with two labels")
    return labels
