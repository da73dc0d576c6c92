"""Which noisy samples runs have memorized, as the page holds it."""

import base64
from pathlib import Path

import numpy as np

from noisy_lightning.experiments import memorized as module
from noisy_lightning.experiments.ledger import Row
from noisy_lightning.experiments.memorized import memorized
from noisy_lightning.runs.measures import EpochRecord
from noisy_lightning.runs.records import write_epoch

#      clean        noisy
GIVEN = [0, 1, 2] + [0, 1, 2, 0] * 3
TRUE = [0, 1, 2] + [1, 2, 0, 2] * 3


def add_records(run: Path, predicted: list[int], true: list[int] | None = None, redrawn: bool = False) -> Row:
    """Write labels of fifteen samples, twelve of them noisy, and what the second epoch predicted."""
    run.mkdir(parents=True, exist_ok=True)
    known = TRUE if true is None else true
    lines = [f"{n},{g},{t},train" for n, (g, t) in enumerate(zip(GIVEN, known, strict=True))]
    (run / "noise.csv").write_text("\n".join(["index,given_label,true_label,split", *lines, ""]))
    nothing = np.zeros(len(GIVEN), np.float32)
    for epoch, row in ((0, [-1] * len(GIVEN)), (1, predicted)):
        labels = np.array(GIVEN) if redrawn else None
        write_epoch(run / "records", epoch, EpochRecord(nothing, nothing, np.array(row), labels=labels))
    return {"run": str(run), "dataset": "Digits", "noise_hash": "1" * 64}


def bits(text: str, count: int) -> list[int]:
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count, bitorder="little").tolist()


def test_bits_say_what_the_last_epoch_predicted_for_each_noisy_sample(tmp_path: Path) -> None:
    rows = [add_records(tmp_path / "a", GIVEN), add_records(tmp_path / "b", [*TRUE[:9], *GIVEN[9:14], -1])]
    found = memorized(rows)
    assert found.left_out == []
    (group,) = found.groups
    assert (group["samples"], group["noisy"]) == (15, 12)
    assert bits(group["where"], 15) == [0, 0, 0, *[1] * 12]
    first, second = (found.by_run[str(tmp_path / name)] for name in "ab")
    assert bits(first["memorised"], 12) == [1] * 12
    assert bits(first["corrected"], 12) == [0] * 12
    assert "seen" not in first
    assert bits(second["memorised"], 12) == [0] * 6 + [1] * 5 + [0]
    assert bits(second["corrected"], 12) == [1] * 6 + [0] * 6
    assert bits(second["seen"], 12) == [1] * 11 + [0]


def test_only_runs_on_the_same_labels_are_of_a_group(tmp_path: Path) -> None:
    rows = [add_records(tmp_path / name, GIVEN) for name in "abcd"]
    rows[2]["noise_hash"] = rows[3]["noise_hash"] = "2" * 64
    rows.append({**add_records(tmp_path / "alone", GIVEN), "noise_hash": "3" * 64})
    found = memorized(rows)
    assert [found.by_run[str(tmp_path / name)]["group"] for name in "abcd"] == [0, 0, 1, 1]
    assert str(tmp_path / "alone") not in found.by_run


def test_without_true_labels_nothing_is_memorized(tmp_path: Path) -> None:
    rows = [add_records(tmp_path / name, GIVEN, true=[-1] * len(GIVEN)) for name in "ab"]
    assert memorized(rows) == ({}, [], [])


def test_what_is_left_out_is_said(tmp_path: Path, monkeypatch) -> None:
    rows = [add_records(tmp_path / "a", GIVEN), add_records(tmp_path / "b", GIVEN, redrawn=True)]
    rows += [add_records(tmp_path / "c", GIVEN), add_records(tmp_path / "d", GIVEN)]
    (tmp_path / "c/records/epoch_0001.npz").write_bytes(b"")
    found = memorized(rows)
    assert list(found.by_run) == [str(tmp_path / "a"), str(tmp_path / "d")]
    redrawn, damaged = found.left_out
    assert "b: labels were drawn anew in every epoch" in redrawn
    assert "epoch_0001.npz" in damaged
    monkeypatch.setattr(module, "_LARGEST", 3)
    assert "What 3 further runs memorized is left out" in memorized(rows).left_out[-1]
