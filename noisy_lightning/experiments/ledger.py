"""One row per run: what it was, what it reached at which epoch, what it cost."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noisy_lightning import __version__
from noisy_lightning.errors import InputError, reading, reason
from noisy_lightning.experiments.settings import as_call, as_json, settings_of
from noisy_lightning.runs.files import as_cell, of_cell, read_text, replacing
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.summary import divergence, of_the_end

LEDGER_FILE = "ledger.csv"
AXIS = "axis_"  # begins the name of a column with the label of an axis
PUBLISHED = "published_"  # begins the name of one with what a publication calls that; published_source: which ones
ACCURACIES = ("acc_last", "acc_mean_last_10", "acc_chosen", "acc_best_oracle")
"""Columns of test accuracy in [0, 1]: at the last epoch; its mean over the last ten, empty where there are fewer; at
the epoch that validation on given labels chose; and the best of all, which only looking at the test set finds."""
_LAST = 10
# What may look like a number and is none.
_TEXTS, _OF_TEXT = ("run", "noise_hash", "git_commit", "settings"), (AXIS, PUBLISHED, "version_")

# What tables and figures cannot do without, and what of it has to be a number or missing.
_NAMES = ("run", "dataset", "noise_kind")
_NUMBERS = ("rate_nominal", "seconds", *ACCURACIES)
_LARGEST = 1e15
_NEEDED = (*_NAMES, *_NUMBERS, "noise", "device", "devices", "precision")

Row = dict[str, Any]


def row_of(path: Path) -> Row:
    """Return the row of a run that has finished.

    Args:
        path: Its folder.

    Raises:
        InputError: The folder is no run, is damaged, or the run has not finished.
    """
    run = RunFolder(path)
    if not run.config.is_file():
        raise InputError(f"{path} is not the folder of a run: it has no {run.config.name}")
    result = run.read_result()
    if "epochs" not in result:
        raise InputError(f"{path} has not finished: the command that started it continues it")
    config = run.read_config()
    try:
        return checked_row(path, _row(run, result, config))
    except InputError:
        raise
    except Exception as error:  # what others have changed may be of any shape
        versions = result.get("versions")
        made_by = versions.get("noisy_lightning") if isinstance(versions, dict) else None
        raise InputError(
            f"{path} is damaged or of another version (noisy_lightning {made_by or 'of an unknown version'}, this is "
            f"{__version__}): {reason(error)}"
        ) from error


def failed_row(path: Path, error: str) -> Row:
    """Return the row of a run that has failed, or whose files are damaged.

    Args:
        path: Its folder.
        error: Why, in a line.
    """
    return {"status": "failed", "run": str(path), "error": error}


def write_ledger(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as a table, whole or not at all; `.parquet` where the name ends so, else CSV.

    Args:
        path: The file.
        rows: A column that a row lacks is empty in it.

    Raises:
        InputError: pyarrow, which writes Parquet, is not installed.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as staged:
        if path.suffix == ".parquet":
            _write_parquet(staged, [{name: row.get(name) for name in columns} for row in rows])
            return
        with staged.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(map(as_cell, columns))
            writer.writerows([as_cell(row.get(name, "")) for name in columns] for row in rows)


def read_ledger(path: Path) -> list[Row]:
    """Read a CSV ledger: numbers as numbers, what is empty as None.

    Raises:
        InputError: It cannot be read, is no ledger, or ends within a line.
    """
    text = read_text(path)
    with reading(path):
        lines = list(csv.reader(io.StringIO(text, newline="")))
    if not lines or "run" not in lines[0]:
        raise InputError(f"{path} is no ledger: its first line should name columns, run among them")
    for number, cells in enumerate(lines[1:], 2):
        if len(cells) != len(lines[0]) or (number == len(lines) and not text.endswith("\n")):
            raise InputError(
                f"{path} is torn in line {number}, which has {len(cells)} of {len(lines[0])} columns: nothing is lost, "
                f"noisy-lightning report on the folder of the runs writes it anew"
            )
    names = [of_cell(name) for name in lines[0]]
    rows = [{name: _value(name, cell) for name, cell in zip(names, cells, strict=True)} for cells in lines[1:]]
    return [row if row.get("status") == "failed" else checked_row(path, row) for row in rows]


def checked_row(path: Path, row: Row) -> Row:
    """Return a row of a finished run, which has what tables and figures need.

    Args:
        path: Where it is from.
        row: The row.

    Raises:
        InputError: It lacks a column, or has another kind of value there.
    """
    if missing := [name for name in _NEEDED if name not in row]:
        raise InputError(f"{path} is no ledger of finished runs: it lacks {', '.join(missing)}")
    for name, value in row.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST
        of_numbers = name in _NUMBERS or name.startswith("acc_")
        of_texts = name in _NAMES or name.startswith(PUBLISHED)
        if (of_numbers and value is not None and not is_number) or (
            of_texts and not isinstance(value, str) and (name in _NAMES or value is not None)
        ):
            raise InputError(f"{path} is damaged: {name} is {str(value)[:40]!r} in the row of {row.get('run')}")
    return row


def _row(run: RunFolder, result: Mapping[str, Any], config: Mapping[str, Any]) -> Row:
    noise, hardware, made_with = result["noise"], result["hardware"], result["versions"]
    data, model, last = config["data"]["init_args"], config["model"], result["last_epoch"]
    tests = of_the_end(result, result.get("test", {}))
    at_last, best = tests.get("last", last), result.get("best_epoch") or {}
    curve = _test_curve(run)
    top = max(curve, key=lambda epoch: curve[epoch], default=None)
    row: Row = {
        "run": str(run.path),
        "dataset": result["dataset"],
        "noise": as_call({"class_path": noise["kind"], "init_args": noise["arguments"]}),
        "noise_kind": noise["kind"],
        "rate_nominal": noise["nominal_rate"],
        "rate_realised": noise["realised_rate"],
        "noise_hash": noise["label_hash"],
        "backbone": as_call(model["backbone"]),
        "stem": (model["backbone"].get("init_args") or {}).get("stem"),
        "loss": as_call(model["loss"]),
        "method": as_call(model["method"]),
        "optimizer": as_call(model["optimizer"], only=("lr", "weight_decay", "momentum", "nesterov")),
        "epochs": result["epochs"],
        "batch_size": data["batch_size"],
        "val_fraction": data["val_fraction"],
        "validation": result["validation"],
        "oracle": result["oracle"],
        "diverged": divergence(result["diverged"]) if result.get("diverged") else None,
        "seed": config["seed_everything"],
        "data_seed": data["seed"],
        "acc_last": at_last.get("test/acc"),
        "acc_mean_last_10": _mean_of_last(curve),
        "acc_chosen": tests.get("best", {}).get("test/acc"),
        "acc_best_oracle": None if top is None else curve[top],
        "epoch_chosen": best.get("epoch"),
        "chosen_by": next((name for name in best if name != "epoch"), None),
        "epoch_best_oracle": top,
        "auroc": last.get("train/auroc"),
        "memorised": last.get("train/memorised"),
        "corrected": last.get("train/corrected"),
        "label_precision": last.get("train/label_precision"),
        "label_recall": last.get("train/label_recall"),
        "transition_error": last.get("method/transition_error"),
        "acc_train": last.get("train/acc"),
        "acc_val": last.get("val/acc"),
        "parameters": result["parameters"],
        "seconds": result["seconds"],
        "images_per_second": result["images_per_second"],
        "peak_memory_mib": result.get("peak_memory_mib"),
        "device": hardware["name"],
        "devices": hardware["devices"],
        "threads": hardware["threads"],
        "precision": hardware["precision"],
        **{f"version_{name}": made_with.get(name) for name in ("noisy_lightning", "torch", "lightning", "python")},
        "git_commit": result.get("git_commit"),
        "settings": as_json(settings_of(config, run.path.parent)),
    }
    # Of a method's other networks, and of further test sets.
    others = {name[len("test_") : -len("/acc")] for name in at_last if re.fullmatch(r"test_\w+/acc", name)}
    row |= {f"acc_last_{name}": at_last[f"test_{name}/acc"] for name in sorted(others)}
    classes = {name.rpartition("/")[2]: value for name, value in at_last.items() if name.startswith("test/acc_class/")}
    return row | {f"acc_class_{number}": value for number, value in classes.items()}


def _test_curve(run: RunFolder) -> dict[int, float]:
    """Return test accuracy by epoch, of the epochs that measured it."""
    with reading(run.metrics):
        return {int(row["epoch"]): float(row["test/acc"]) for row in run.read_metrics() if row.get("test/acc")}


def _mean_of_last(curve: Mapping[int, float]) -> float | None:
    last = [curve[epoch] for epoch in sorted(curve)[-_LAST:]]
    return sum(last) / _LAST if len(last) == _LAST else None


def _value(column: str, cell: str) -> Any:
    if cell.startswith("'") or (cell and (column in _TEXTS or column.startswith(_OF_TEXT))):
        return of_cell(cell)
    if cell in ("", "True", "False"):
        return {"": None, "True": True, "False": False}[cell]
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    try:
        from pyarrow import Table, parquet  # noqa: PLC0415
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: pip install 'noisy_lightning[parquet]'") from error
    parquet.write_table(Table.from_pylist(list(rows)), path)
