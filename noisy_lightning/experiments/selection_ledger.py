"""One row per selection of labels: what judged which labels, how good that was, what it cost."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import as_cell, of_cell, replacing
from noisy_lightning.runs.folder import RunFolder

SELECTIONS_FILE = "selections.csv"
_RESULT = ("samples", "selected", "estimated_noise_rate", "label_precision", "label_recall", "auroc")
_NUMBERS = (
    *_RESULT,
    "average_precision",
    "found_precision",
    "found_recall",
    "found_f1",
    "suggestions_right",
    "seconds",
)
_TEXTS = ("run", "selector", "arguments", "dataset", "labels", "network", "seed")
COLUMNS = (*_TEXTS, "noise_rate", *_NUMBERS, "version")
"""`labels` is the noise with its arguments, `network` what the features are from, or what the runs trained."""

Row = dict[str, Any]


def selection_row(run: RunFolder) -> Row:
    """Return the row of a finished selection.

    Args:
        run: Its folder.

    Raises:
        InputError: It is no finished selection.
    """
    result, config = run.read_result(), run.read_config()
    if "selector" not in result:
        raise InputError(f"{run.path} is no finished selection of noisy-lightning clean")
    noise, found = result["noise"], result.get("found") or {}
    row: Row = {name: result.get(name) for name in _NUMBERS}
    row |= {f"found_{name}": found.get(name) for name in ("precision", "recall", "f1")}
    row |= {
        "run": str(run.path),
        "selector": result["selector"]["kind"],
        "arguments": _call(result["selector"].get("changed") or {}),
        "dataset": result["dataset"],
        "labels": _labels(noise["kind"], noise.get("arguments") or {}),
        "network": _network(config),
        "seed": (config["data"].get("init_args") or {}).get("seed", 0),
        "noise_rate": noise["realised_rate"],
        "version": (result.get("versions") or {}).get("noisy_lightning"),
    }
    return {name: row[name] for name in COLUMNS}


def write_selections(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as a comma-separated file, an empty cell where something is unknown."""
    with replacing(path) as staged, staged.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(row[name]) for name in COLUMNS})


def read_selections(path: Path) -> list[Row]:
    """Return the rows of such a file.

    Raises:
        InputError: It cannot be read, or lacks a column.
    """
    with reading(path), path.open(newline="", encoding="utf-8") as file:
        rows: list[Row] = list(csv.DictReader(file))
    for number, row in enumerate(rows, 2):
        missing = [name for name in COLUMNS if row.get(name) is None]
        if missing:
            raise InputError(f"{path}, line {number}: lacks {', '.join(missing)}")
        for name in ("noise_rate", *_NUMBERS):
            try:
                row[name] = float(row[name]) if row[name] else None
            except ValueError as error:
                raise InputError(f"{path}, line {number}: {name} must be a number, got {row[name]!r}") from error
        for name in ("run", "arguments", "labels", "network"):
            row[name] = of_cell(row[name])
    return rows


def compared_selectors(rows: Sequence[Row]) -> str:
    """Return a Markdown table: a line per selector and network, three columns in one for each kind of labels.

    Each cell has average precision, AUROC and F1 of finding wrong labels, means over seeds. Seconds are those of the
    quickest selection: other work on a machine makes all others longer.

    Args:
        rows: Of a ledger.
    """
    kinds: dict[str, list[float]] = {}
    lines: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for row in rows:
        name = row["selector"] + (f" ({row['arguments']})" if row["arguments"] else "")
        lines.setdefault((name, row["network"]), {}).setdefault(row["labels"], []).append(row)
        kinds.setdefault(row["labels"], []).append(row["noise_rate"] or 0.0)
    means = {kind: sum(rates) / len(rates) for kind, rates in kinds.items()}
    kinds = {kind: kinds[kind] for kind in sorted(kinds, key=lambda kind: means[kind])}
    heads = [f"{kind}, {100 * means[kind]:.1f} %" for kind in kinds]
    table = ["| selector | network | " + " | ".join(heads) + " | seconds | n |"]
    table.append("| --- | --- |" + " ---: |" * (len(heads) + 2))
    for (name, network), by_kind in lines.items():
        cells = [_measured(by_kind.get(kind, [])) for kind in kinds]
        seconds = min(row["seconds"] or 0 for own in by_kind.values() for row in own)
        least, most = (limit(map(len, by_kind.values())) for limit in (min, max))
        count = f"{least}" if least == most else f"{least} to {most}"
        table.append(f"| {name} | {network} | {' | '.join(cells)} | {seconds:.0f} | {count} |")
    return "\n".join(table)


def _measured(rows: Sequence[Row]) -> str:
    """Return the means of what finds wrong labels."""
    if not rows:
        return "–"
    means = []
    for name in ("average_precision", "auroc", "found_f1"):
        values = [row[name] for row in rows if row[name] is not None]
        means.append(f"{sum(values) / len(values):.3f}" if values else "–")
    return " / ".join(means)


def _network(config: Mapping[str, Any]) -> str:
    """Return what the features are from, or what the training runs trained."""
    data = config["data"].get("init_args") or {}
    if str(config["data"].get("class_path", "")).endswith(".Embedded"):
        network = data["network"]
        arguments = network.get("init_args") or {}
        name = arguments.get("name") or str(network["class_path"]).rpartition(".")[2]
        size = f" {arguments['image_size']}" if arguments.get("image_size") else ""
        return f"{name}{size}, {data['views']} view{'s' * (data['views'] > 1)}"
    backbone = config["model"]["backbone"]
    return str(backbone["class_path"]).rpartition(".")[2]


def _labels(kind: str, arguments: Mapping[str, Any]) -> str:
    """Return what the given labels are: a file with its column, or a kind of noise with its arguments."""
    if "path" in arguments:
        return f"{Path(str(arguments['path'])).stem} {arguments.get('column') or ''}".strip()
    return f"{kind} {_call(arguments)}".strip()


def _call(arguments: Mapping[str, Any]) -> str:
    """Return arguments that are not left out."""
    return ", ".join(f"{name}={value}" for name, value in arguments.items() if value is not None)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else as_cell(str(value))
