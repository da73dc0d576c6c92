"""Which noisy samples each run has memorized, small enough for a page: runs on the same labels can be compared."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.ledger import Row
from noisy_lightning.runs.measures import UNKNOWN, Bools
from noisy_lightning.runs.records import FOLDER, last_predictions, read_noise

_LARGEST = 8 * 2**20  # characters on the page


class Memorized(NamedTuple):
    """What runs predicted for noisy samples in their last epoch."""

    by_run: dict[str, dict[str, Any]]
    """By the run's folder: `group`, and base64 of bits over the group's noisy samples, little end first: `memorised`
    and `corrected`, and `seen` where not all were, such as those held out for validation."""
    groups: list[dict[str, Any]]
    """Of runs on the same labels: `dataset`, `samples`, how many are `noisy`, and `where` as bits over all samples."""
    left_out: list[str]
    """Of which runs there is nothing, and why, in a line each."""


def memorized(rows: Sequence[Row]) -> Memorized:
    """Read the last record of each run that shares its labels, by their hash, with another one.

    Args:
        rows: Of the ledger, of finished runs.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.get("noise_hash") and row.get("dataset"):
            alike.setdefault((row["dataset"], str(row["noise_hash"])), []).append(str(row["run"]))
    found = Memorized({}, [], [])
    left, length = 0, 0
    for (dataset, _), runs in alike.items():
        here = [run for run in dict.fromkeys(runs) if (Path(run) / FOLDER).is_dir()]
        if len(here) < 2:
            continue
        try:
            labels, true_labels, _ = read_noise(here[0])
        except InputError as error:
            found.left_out.append(str(error))
            continue
        noisy = (true_labels != UNKNOWN) & (true_labels != labels)
        if not noisy.any():
            continue
        of_group = {"dataset": dataset, "samples": len(labels), "noisy": int(noisy.sum()), "where": _packed(noisy)}
        found.groups.append(of_group)
        for run in here:
            if length > _LARGEST:
                left += 1
                continue
            try:
                predicted, redrawn = last_predictions(run, len(labels))
            except InputError as error:
                found.left_out.append(str(error))
                continue
            if redrawn:
                found.left_out.append(f"{run}: labels were drawn anew in every epoch, so no sample is noisy for good")
                continue
            seen = predicted[noisy] >= 0
            bits = {"memorised": predicted[noisy] == labels[noisy], "corrected": predicted[noisy] == true_labels[noisy]}
            packed = {name: _packed(own) for name, own in (bits if seen.all() else {**bits, "seen": seen}).items()}
            found.by_run[run] = {"group": len(found.groups) - 1, **packed}
            length += sum(map(len, packed.values()))
    if left:
        found.left_out.append(f"What {left} further runs memorized is left out: it would make the page too large.")
    return found


def _packed(bits: Bools) -> str:
    return base64.b64encode(np.packbits(bits, bitorder="little").tobytes()).decode()
