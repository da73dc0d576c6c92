from pathlib import Path

import pytest

from noisy_lightning.experiments.grid import GridRun, PlannedRun
from noisy_lightning.experiments.sweep_folder import SweepFolder
from noisy_lightning.experiments.sweep_progress import SweepProgress, _duration, overview
from tests.experiments.test_ledger import CONFIG, RESULT, make_run


def _planned(name: str, method: str = "Standard") -> PlannedRun:
    model = {**CONFIG["model"], "method": {"class_path": method}}
    config = {**CONFIG, "model": model, "trainer": {"max_epochs": 12}}
    return PlannedRun(GridRun({"seed": name}, [], []), name, config)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (29, "29 s"), (31, "1 min"), (3540, "59 min"), (3900, "1 h 05 min"), (90000, "25 h 00 min")],
)
def test_a_duration_is_as_exact_as_an_estimate(seconds: float, text: str) -> None:
    assert _duration(seconds) == text


def test_a_listing_estimates_what_is_left_by_what_is_done(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    make_run(folder.run("a").path, {**RESULT, "seconds": 1200})
    begun = make_run(folder.run("b").path, {"test": {}})
    (begun / "metrics.csv").write_text("epoch\n0\n1\n2\n")
    rows, left = overview([_planned(name) for name in "abc"], folder)
    # 100 s an epoch
    assert rows == [
        ["run", "state", "epochs", "estimated"],
        ["a", "done", "12", ""],
        ["b", "epoch 3", "12", "15 min"],
        ["c", "to do", "12", "20 min"],
    ]
    assert left == f"3 runs of 36 epochs in {tmp_path}; left, one after the other: 35 min"


def test_a_method_of_which_nothing_is_done_has_no_estimate(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    make_run(folder.run("a").path, {**RESULT, "seconds": 1200})
    left = overview([_planned("a"), _planned("b", "CoTeaching")], folder).left
    assert left.endswith("left, one after the other: 1 runs of a network and method of which none is done here yet")


@pytest.mark.parametrize(
    ("error", "said"),
    [(b"diverged\n", "failed, diverged"), (b"caf\xe9\n", "failed, {file} is damaged: it is no UTF-8 text, byte 3")],
)
def test_a_run_that_fails_is_said_to_whatever_its_error_holds(
    error: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    run = _planned("a")
    progress = SweepProgress([run], folder)
    progress.begin(run)
    folder.error("a").write_bytes(error)
    progress.end(run)
    assert capsys.readouterr().out.splitlines()[-1] == f"{run.grid.title}: {said.format(file=folder.error('a'))}"
