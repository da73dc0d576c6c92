"""What the page of a report knows of each run: its row, settings, curves, classes, and what it memorized."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError, reading
from noisy_lightning.experiments.grid import SEED
from noisy_lightning.experiments.headings import heading
from noisy_lightning.experiments.ledger import ACCURACIES, AXIS, PUBLISHED, Row
from noisy_lightning.experiments.memorized import memorized
from noisy_lightning.experiments.report import Report
from noisy_lightning.experiments.settings import from_text, label
from noisy_lightning.runs.folder import RunFolder

_HIDDEN = ("settings", "acc_class_", PUBLISHED)  # begin the names of columns that the page shows otherwise or not
_PERCENT = ("acc_", "rate_", "memorised", "corrected", "label_precision", "label_recall", "val_fraction")
_EPOCHS = ("epoch_chosen", "epoch_best_oracle")  # counted from 0; the page shows them from 1
_SHOWN = ("acc_chosen", "acc_last", "memorised", "auroc", "seconds", "status")
# What distinguishes runs that no sweep has made.
_TRAITS = ("dataset", "noise", "method", "loss", "backbone", "optimizer", "epochs", "batch_size")
_LISTED = 6  # values in the head of the page
_MOST_CHOICES = 60  # of a filter
_POINTS = 60_000  # of one kind of curve over all runs
_MOST_POINTS, _FEWEST_POINTS = 400, 50  # of a curve

CURVES = {
    "val/acc": "validation, given labels",
    "val/acc_true": "validation, true labels",
    "test/acc": "test",
    "train/acc": "training, given labels",
    "train/acc_true": "training, true labels",
    "train/loss": "training, all",
    "train/loss_clean": "training, clean labels",
    "train/loss_noisy": "training, noisy labels",
    "val/loss": "validation",
    "train/memorised": "memorized",
    "train/corrected": "corrected",
    "train/neither": "neither",
    "train/auroc": "AUROC of the loss",
    "train/label_precision": "label precision",
    "train/label_recall": "label recall",
    "lr": "learning rate",
}
"""What the page draws over epochs, columns of `metrics.csv`, and what it calls them."""


def page_data(report: Report) -> dict[str, Any]:
    """Return what the program of the page works on, as plain data without NaN.

    Args:
        report: Of any runs; what their folders lack, or no longer hold, is missing in it.
    """
    rows = [*report.rows, *report.failed]
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if not name.startswith(_HIDDEN)]
    names = [name for name in names if any(row.get(name) is not None for row in rows)]
    names.sort(key=_place)
    filters = _filters(names, rows)
    shared, own = _without_shared([_facts(row) for row in rows])
    found = memorized([row for row in report.rows if report.owns_folder(row)])
    most = max(_FEWEST_POINTS, min(_MOST_POINTS, _POINTS // max(1, len(rows))))
    notes = list(found.left_out)
    runs: list[dict[str, Any]] = []
    ids: dict[str, int] = {}
    for row, facts in zip(rows, own, strict=True):
        try:
            read = _of_folder(Path(row["run"]), row, most) if report.owns_folder(row) else {}
        except InputError as error:  # of the one run, and the others are shown
            notes.append(str(error))
            read = {}
        full = {"status": "done", **{name: value for name, value in row.items() if value is not None}}
        values = [_value(name, full.get(name)) for name in names]
        run = {"id": _id(row, ids), "values": values, "facts": facts, "hasSettings": bool(row.get("settings"))}
        runs.append({**run, **read, "samples": found.by_run.get(str(row["run"]))})
    return {
        "columns": [_column(name, rows, name in filters) for name in names],
        "filters": [names.index(name) for name in filters],
        "curves": CURVES,
        "rules": [[names.index(name), heading(name)] for name in ACCURACIES if name in names],
        "shared": shared,
        "runs": runs,
        "groups": found.groups,
        "notes": notes,
    }


def overall_facts(report: Report) -> list[tuple[str, str]]:
    """Return what runs were made of and with, as the head of the page has it: names and texts."""
    facts = {
        "data set": ("dataset",),
        "noise": ("noise",),
        "network": ("backbone",),
        "noisy_lightning": ("version_noisy_lightning",),
        "commit": ("git_commit",),
        "torch": ("version_torch",),
        "machine": ("devices", "device"),
        "precision": ("precision",),
    }
    found = []
    for name, columns in facts.items():
        values = [[row[column] for column in columns] for row in report.rows if row.get(columns[-1]) is not None]
        texts = list(dict.fromkeys(" × ".join(map(str, one)) for one in values))
        if name == "commit":  # "+" stands for changes besides it
            texts = [f"{text[:12]}{'+' * text.endswith('+')}" for text in texts]
        more = f", and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
        found += [(name, "; ".join(texts[:_LISTED]) + more)] if texts else []
    return found


def _place(name: str) -> int:
    """Sort columns: the run, what its sweep varied, and what it reached, before the rest as it comes."""
    first = ("run", AXIS, *ACCURACIES)
    return next((place for place, start in enumerate(first) if name.startswith(start)), len(first))


def _filters(names: Sequence[str], rows: Sequence[Row]) -> list[str]:
    axes = [name for name in names if name.startswith(AXIS)]
    wanted = axes if any(name != f"{AXIS}{SEED}" for name in axes) else [*_TRAITS, *axes]
    counts = {name: len({str(row[name]) for row in rows if row.get(name) is not None}) for name in names}
    return [name for name in (*wanted, "status") if 1 < counts.get(name, 0) <= _MOST_CHOICES]


def _column(name: str, rows: Sequence[Row], is_filter: bool) -> dict[str, Any]:
    values = [row[name] for row in rows if row.get(name) is not None]
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    of_axis = name.startswith(AXIS) and all(_number(value) is not None for value in values)
    kind = "number" if is_number or of_axis else "text"
    percent = kind == "number" and name.startswith(_PERCENT)
    title = heading(name.removeprefix(AXIS))
    return {
        "key": name,
        "name": f"{title}, %" if percent else title,
        "kind": "percent" if percent else "epoch" if name in _EPOCHS else kind,
        "shown": name == "run" or is_filter or name in _SHOWN,
    }


def _value(name: str, value: Any) -> Any:
    if name.startswith(AXIS) and isinstance(value, str):
        return value if _number(value) is None else _number(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def _number(text: Any) -> float | int | None:
    for kind in (int, float):
        try:
            number = kind(str(text))
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _id(row: Row, counts: dict[str, int]) -> str:
    """Return what a link calls a run: the same in a later report, which may have more of them."""
    name = hashlib.sha256(str(row["run"]).encode("utf-8", "surrogateescape")).hexdigest()[:10]
    counts[name] = counts.get(name, 0) + 1
    return name if counts[name] == 1 else f"{name}-{counts[name]}"


def _facts(row: Row) -> dict[str, str]:
    """Return the settings of a run by the dotted keys that the command line has."""
    facts = (
        {key: str(row[name]) for key, name in (("seed_everything", "seed"), ("data.seed", "data_seed"))}
        if all(row.get(name) is not None for name in ("seed", "data_seed"))
        else {}
    )
    return facts | (dict(_flat(from_text(row["settings"]), "")) if row.get("settings") else {})


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield key, label(value)
        return
    if "class_path" in value:
        yield key, str(value["class_path"]).rpartition(".")[2]
    for name, one in value.items():
        if name != "class_path":
            yield from _flat(one, key if name == "init_args" else f"{key}.{name}" if key else str(name))


def _without_shared(facts: Sequence[dict[str, str]]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Return what all runs that have settings have in common, and the rest of each."""
    known = [one for one in facts if one]
    first = known[0] if known else {}
    shared = {key: value for key, value in first.items() if all(one.get(key) == value for one in known)}
    return shared, [{key: value for key, value in one.items() if key not in shared} for one in facts]


def _of_folder(path: Path, row: Row, most: int) -> dict[str, Any]:
    """Return curves, accuracies of classes and further measures of tests, as far as they are there."""
    run = RunFolder(path)
    result = run.read_result()
    with reading(run.result):
        tests = {name: dict(values) for name, values in (result.get("test") or {}).items()}
        last = {f"test/acc_class/{key[10:]}": row[key] for key in row if key.startswith("acc_class_")}
        classes = {}
        for name, values in (tests or {"last": last}).items():
            ordered = sorted(
                (int(key[15:]), value) for key, value in values.items() if key.startswith("test/acc_class/")
            )
            if ordered:
                classes[name] = [_short(value) for _, value in ordered]
        further = {
            name: {key: _short(value) for key, value in values.items() if "acc_class/" not in key and key != "epoch"}
            for name, values in tests.items()
        }
        names = [str(name) for name in result.get("class_names") or []]
    facts = {"classes": classes, "classNames": names, "tests": further, "curves": _curves(run, most)}
    return {key: value for key, value in facts.items() if value}


def _curves(run: RunFolder, most: int) -> dict[str, Any]:
    """Return each curve with its epochs, counted from 1; of a long one, evenly spaced epochs and the last."""
    rows = run.read_metrics()
    with reading(run.metrics):
        step = max(1, math.ceil(len(rows) / most))
        rows = rows[::-1][::step][::-1]
        curves = {key: [_short(row.get(key)) for row in rows] for key in CURVES}
        kept = {key: values for key, values in curves.items() if any(value is not None for value in values)}
        return {"epoch": [int(row["epoch"]) + 1 for row in rows], **kept} if kept else {}


def _short(value: Any) -> float | None:
    """Return a number to four digits, which no reader of a curve can tell from the whole one."""
    number = None if value in (None, "") else float(value)
    return None if number is None or not math.isfinite(number) else float(f"{number:.4g}")
