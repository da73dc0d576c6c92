from pathlib import Path
from typing import Any

import pytest

from noisy_lightning.experiments.sweep_folder import ManifestEntry, SweepFolder
from tests.experiments.test_ledger import RESULT, make_run

UNTESTED = {name: value for name, value in RESULT.items() if name != "test"}


@pytest.mark.parametrize(
    ("result", "done"),
    [
        (RESULT, True),
        (UNTESTED, False),
        ({**UNTESTED, "test_set": True}, False),
        ({**UNTESTED, "test_set": False}, True),
        ({"test": RESULT["test"]}, False),
    ],
    ids=["tested", "untested", "to test", "without a test set", "unfinished"],
)
def test_a_run_is_done_when_it_is_trained_and_tested_where_that_can_be(
    result: dict[str, Any], done: bool, tmp_path: Path
) -> None:
    make_run(tmp_path / "a", result)
    assert SweepFolder(tmp_path).done("a") is done


def test_a_state_says_how_far_a_run_is(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    assert (folder.state("a"), folder.epochs_done("a")) == ("to do", 0)
    path = make_run(folder.run("a").path, {"test": {}})
    assert (folder.state("a"), folder.epochs_done("a")) == ("epoch 12", 12)
    (path / "metrics.csv").write_text("epoch\n0\n")
    assert folder.state("a") == "epoch 1"
    (path / "metrics.csv").write_bytes(b"epoch\n\xff\n1\n")
    assert folder.state("a") == "epoch 2"
    (path / "metrics.csv").unlink()
    assert folder.state("a") == "epoch 0"
    folder.error("a").touch()
    assert folder.state("a") == "failed"


def test_a_damaged_run_is_in_the_ledger_as_failed(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.write_manifest([ManifestEntry(name, {}, {}) for name in ("a", "b", "c")], [])
    for name in ("a", "b"):
        make_run(tmp_path / name, RESULT)
    (tmp_path / "a/result.json").write_text("[]")
    assert folder.state("a") == "epoch 12"
    assert [(row["status"], Path(row["run"]).name) for row in folder.rows()] == [("failed", "a"), ("done", "b")]
    assert "a/result.json" in folder.rows()[0]["error"]
    assert folder.missing() == ["c"]


def test_an_error_that_is_no_text_is_in_the_ledger_as_such(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    folder.write_manifest([ManifestEntry(name, {}, {}) for name in ("a", "b")], [])
    folder.error("a").write_bytes(b"cannot read caf\xe9\n")
    (row,) = folder.rows()
    assert (row["status"], Path(row["run"]).name) == ("failed", "a")
    assert row["error"] == f"{folder.error('a')} is damaged: it is no UTF-8 text, byte 15"
    assert folder.missing() == ["b"]
