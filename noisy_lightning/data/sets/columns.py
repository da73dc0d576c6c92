"""Which column of a table holds what: by the names that are usual for it, or by the one that is given."""

import difflib
import re
from collections.abc import Mapping, Sequence

from noisy_lightning.errors import InputError

Columns = dict[str, str | list[str] | None]
"""Name of the column by what it holds; a list for labels of several annotators; None where there is none."""

SYNONYMS: dict[str, tuple[str, ...]] = {
    "path": (
        *("path", "file", "filename", "file_name", "filepath", "file_path"),
        *("image", "image_path", "image_file", "image_name", "img", "img_path"),
    ),
    "label": ("label", "class", "class_name", "category", "target", "label_name", "given_label", "noisy_label"),
    "true_label": ("true_label", "clean_label", "gold_label", "ground_truth", "true_class"),
    "split": ("split", "set", "subset", "partition"),
    "trusted": ("trusted", "is_trusted", "verified"),
    "group": ("group", "group_id"),
    "annotator": ("annotator", "annotator_id", "worker", "worker_id", "rater", "rater_id"),
}
"""Usual names, in small letters, of the columns of a table of images, by what they hold."""

_SPLITS = {
    **dict.fromkeys(("", "train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def find_columns(
    where: str,
    names: Sequence[str],
    given: Mapping[str, str | list[str] | None] | None,
    synonyms: Mapping[str, Sequence[str]],
) -> dict[str, list[str]]:
    """Return the names of the columns by what they hold; what no column holds is left out.

    A column that is named counts. Otherwise it is the one that is called exactly what it holds, such as `label`; then
    the one with a usual name, whose case, blanks and hyphens do not matter; then, for labels, all of `label_1`,
    `label_2` and so on, which are those of several annotators.

    Args:
        where: The beginning of an error.
        names: Those of all columns.
        given: Names of columns by what they hold; None where there shall be none. None: nothing can name them.
        synonyms: Usual names by what they stand for.

    Returns:
        One name each; for labels more, if there are several annotators.

    Raises:
        InputError: What is named is not there, or two columns could be meant.
    """
    found = {
        meaning: _given(where, names, meaning, value) for meaning, value in _checked(given or {}, synonyms).items()
    }
    taken = {name for columns in found.values() for name in columns}
    free = [name for name in names if name not in taken]
    for meaning, usual in synonyms.items():
        if meaning not in found:
            found[meaning] = _usual(where, free, meaning, usual, given is not None)
    for meaning, columns in found.items():
        for name in columns:
            if names.count(name) > 1:
                raise InputError(f"{where}: {names.count(name)} columns are called {name!r}, the {meaning}: rename one")
    return {meaning: columns for meaning, columns in found.items() if columns}


def split_of(name: str) -> str | None:
    """Return train, val or test for what a table or a data set calls it, empty being train; None for other names."""
    return _SPLITS.get(name.strip().lower())


def recognized(names: Sequence[str], given: Mapping[str, str | list[str] | None]) -> int:
    """Return how many columns of a table of images have a name that is given or usual."""
    named = [name for value in given.values() for name in (value if isinstance(value, list) else [value]) if name]
    usual = {name for synonyms in SYNONYMS.values() for name in synonyms}
    return sum(name in named or _plain(name) in usual or bool(_NUMBERED.fullmatch(_plain(name))) for name in names)


_NUMBERED = re.compile(rf"({'|'.join(SYNONYMS['label'])})_?\d+")


def _checked(
    given: Mapping[str, str | list[str] | None], synonyms: Mapping[str, Sequence[str]]
) -> Mapping[str, str | list[str] | None]:
    for meaning, value in given.items():
        if meaning not in synonyms:
            raise InputError(f"data.columns takes {', '.join(synonyms)}, not {meaning!r}{_hint(meaning, synonyms)}")
        if isinstance(value, list) and (meaning != "label" or len(set(value)) < max(2, len(value))):
            raise InputError(
                f"data.columns.{meaning} must be one name, got {value}"
                if meaning != "label"
                else f"data.columns.label must be a name, or names of several columns that all differ, got {value}"
            )
    return given


def _given(where: str, names: Sequence[str], meaning: str, value: str | list[str] | None) -> list[str]:
    wanted = [] if value is None else [value] if isinstance(value, str) else value
    for name in wanted:
        if name not in names:
            listed = ", ".join(names) or "no columns"
            raise InputError(
                f"data.columns.{meaning}: there is no column {name!r} in {where}, but {listed}{_hint(name, names)}"
            )
    return wanted


def _usual(where: str, names: Sequence[str], meaning: str, usual: Sequence[str], can_be_named: bool) -> list[str]:
    if meaning in names:
        return [meaning]
    columns = [name for name in dict.fromkeys(names) if _plain(name) in usual]
    if len(columns) > 1:
        which = f"say which by data.columns '{{{meaning}: {columns[0]}}}'" if can_be_named else f"call one {meaning}"
        raise InputError(f"{where}: the {meaning} could be in {' or '.join(map(repr, columns))}: {which}")
    if not columns and meaning == "label":
        columns = [name for name in dict.fromkeys(names) if _NUMBERED.fullmatch(_plain(name))]
    return columns


def _plain(name: str) -> str:
    return re.sub(r"[\s\-_]+", "_", name.strip().lower())


def _hint(name: str, names: Sequence[str] | Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]}?" if close else ""
