"""The tool that kills runs finds what is lost, and a run that is killed early loses nothing."""

import json
from pathlib import Path

from tests.tools.kills import lost, outcome, run_alone, tried


def test_a_run_killed_at_an_early_change_loses_nothing_and_a_loss_would_be_found(tmp_path: Path) -> None:
    assert run_alone(tmp_path) == 0
    expected = outcome(tmp_path)
    assert tried(expected, early=20) == (True, [])
    run = tmp_path / "runs/default/0"
    metrics, result = run / "metrics.csv", run / "result.json"
    metrics.write_text(metrics.read_text().replace("0.1", "0.2"))
    result.write_text(json.dumps(json.loads(result.read_text()) | {"seconds": 0.5, "epochs": 3}))
    (run / ".noise.csv.0.part").touch()
    assert lost(expected, tmp_path) == [
        "metrics.csv differs",
        "result.json differs",
        "files differs",
        "unfinished differs",
    ]
    metrics.unlink()
    (missing,) = lost(expected, tmp_path)
    assert missing.startswith("FileNotFoundError")
