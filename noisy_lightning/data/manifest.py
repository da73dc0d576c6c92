"""The noise files of a run: `noise.csv` with every label, `noise.json` with what they amount to."""

import json
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.data.annotators import annotator_table, image_table
from noisy_lightning.data.labels import LabelTable, NoiseSummary, label_hash
from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import read_text, write_text
from noisy_lightning.runs.measures import UNKNOWN

TABLE_FILE = "noise.csv"
SUMMARY_FILE = "noise.json"
CONSENSUS_FILE = "consensus.csv"
ANNOTATORS_FILE = "annotators.csv"
_HEADER = "index,true_label,given_label,split"
_FOREIGN = ",foreign_index"
_SPLITS = ("unused", "train", "val")


def write_manifest(folder: Path, summary: NoiseSummary, labels: LabelTable) -> None:
    """Write `noise.csv` and then `noise.json`, each whole or not at all; existing ones are replaced.

    `noise.csv` has a row per sample in the order of the indices; its true label is empty where nobody knows it and -2
    where the image is of none of the classes. Where images are those of another data set, a further column says which
    training image it is there; it is empty for the others.

    Where the labels that came with the images are those of several annotators, `consensus.csv` says what they amount to
    and how far they agree, a row per image, and `annotators.csv` how good they are, a row per annotator.

    Args:
        folder: An existing folder.
        summary: What to write to `noise.json`.
        labels: What to write to `noise.csv`.
    """
    split = np.zeros(len(labels.given_labels), dtype=np.int64)
    split[labels.train_indices.numpy()] = _SPLITS.index("train")
    split[labels.val_indices.numpy()] = _SPLITS.index("val")
    true = ["" if label == UNKNOWN else label for label in labels.true_labels.tolist()]
    rows = zip(true, labels.given_labels.tolist(), split.tolist(), strict=True)
    lines = [f"{index},{true},{given},{_SPLITS[part]}" for index, (true, given, part) in enumerate(rows)]
    header = _HEADER
    if labels.foreign_index is not None:
        cells = ["" if index < 0 else index for index in labels.foreign_index.tolist()]
        lines = [f"{line},{cell}" for line, cell in zip(lines, cells, strict=True)]
        header += _FOREIGN
    table = "\n".join([header, *lines, ""])
    texts = {TABLE_FILE: table, SUMMARY_FILE: _as_json(asdict(summary))}
    if labels.consensus is not None:
        texts[CONSENSUS_FILE] = image_table(labels.consensus, labels.class_names, labels.paths)
        texts[ANNOTATORS_FILE] = annotator_table(labels.consensus)
    for name, text in texts.items():
        write_text(folder / name, text)


def read_manifest(folder: Path) -> tuple[NoiseSummary, LabelTable]:
    """Read the noise files of a run.

    Raises:
        InputError: A file is missing, torn or malformed, or the two do not belong together.
    """
    summary = _read_summary(folder / SUMMARY_FILE)
    path = folder / TABLE_FILE
    labels = _read_table(path)
    found = label_hash(labels.given_labels, labels.foreign_index, summary.foreign_checksum)
    if found != summary.label_hash:
        raise InputError(
            f"{path} holds other labels ({found[:16]}…) than {SUMMARY_FILE} beside it names "
            f"({summary.label_hash[:16]}…): restore both files from the same run"
        )
    return summary, labels


def _as_json(entries: dict[str, Any]) -> str:
    # An entry a line and a matrix row a line: indented as usual, 100 classes would fill 20,000 lines.
    def value(entry: object) -> str:
        if not isinstance(entry, list):
            return json.dumps(entry, allow_nan=False)
        return "[\n    " + ",\n    ".join(json.dumps(row, allow_nan=False) for row in entry) + "\n  ]"

    return "{\n" + ",\n".join(f"  {json.dumps(name)}: {value(entry)}" for name, entry in entries.items()) + "\n}\n"


def _read_text(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path} is missing: name the folder of a run, which holds its noise files")
    return read_text(path)


def _read_summary(path: Path) -> NoiseSummary:
    text = _read_text(path)
    with reading(path):
        entries: dict[str, Any] = json.loads(text)
        # Older runs lack what has a default.
        wanted = [field.name for field in fields(NoiseSummary) if field.default is MISSING or field.name in entries]
        summary = NoiseSummary(**{name: entries[name] for name in wanted})
    if not isinstance(summary.label_hash, str) or not isinstance(summary.foreign_checksum, str | None):
        raise InputError(f"{path} is damaged: label_hash and foreign_checksum should be texts")
    return summary


def _read_table(path: Path) -> LabelTable:
    header, *lines = _read_text(path).split("\n")
    if header not in (_HEADER, _HEADER + _FOREIGN):
        raise InputError(f"{path} must begin with {_HEADER!r}, got {header[:80]!r}")
    if lines[-1:] != [""]:
        raise InputError(f"{path} ends in the middle of a line")
    rows = [_row(path, header, index, line) for index, line in enumerate(lines[:-1])]
    with reading(path):
        table = np.array(rows, dtype=np.int64)
    true, given, split, foreign = torch.from_numpy(table.reshape(-1, 4)).T.contiguous()
    foreign_index = None if header == _HEADER else foreign
    return LabelTable(true, given, _positions(split, "train"), _positions(split, "val"), foreign_index)


def _row(path: Path, header: str, index: int, line: str) -> tuple[int, int, int, int]:
    try:
        cells = line.split(",")
        position, true, given, split = cells[:4]
        (foreign,) = cells[4:] if header != _HEADER else ("",)
        if len(cells) != header.count(",") + 1:
            raise ValueError(f"{len(cells)} cells")
        if int(position) != index:
            raise ValueError(f"index {position} where {index} belongs")
        return int(true) if true else UNKNOWN, int(given), _SPLITS.index(split), int(foreign) if foreign else -1
    except ValueError as error:
        raise InputError(f"{path}, line {index + 2}: {line[:80]!r} is no row of {header!r}: {error}") from error


def _positions(split: Tensor, name: str) -> Tensor:
    return (split == _SPLITS.index(name)).nonzero()[:, 0]
