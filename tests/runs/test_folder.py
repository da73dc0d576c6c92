import multiprocessing
import shutil
from pathlib import Path

import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunFolder, existing_run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "e/0")
    folder.path.mkdir(parents=True)
    folder.config.write_text("{}")
    return folder


def test_a_folder_is_discarded_only_before_training(run: RunFolder) -> None:
    (run.path / "noise.json").touch()
    run.discard_unstarted()
    assert run.config.exists()
    (run.path / "noise.json").unlink()
    (run.path / "note.txt").touch()
    run.discard_unstarted()
    assert [file.name for file in run.path.iterdir()] == ["note.txt"]
    (run.path / "note.txt").unlink()
    run.discard_unstarted()
    assert not run.path.exists()


def test_a_result_is_json_even_where_a_run_diverged(run: RunFolder) -> None:
    run.write_result({"epochs": 1, "last_epoch": {"val/loss": float("nan"), "val/acc": 0.1}, "rows": [float("inf")]})
    assert "NaN" not in run.result.read_text()
    assert run.read_result() == {"epochs": 1, "last_epoch": {"val/loss": None, "val/acc": 0.1}, "rows": [None]}


def test_what_is_no_run_is_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the folder of a run"):
        existing_run(tmp_path)
    with pytest.raises(InputError, match="has: none"):
        run.checkpoint("last")
    run.result.write_text('{"diverged": {"what": "loss"}}')
    with pytest.raises(InputError, match=r"result\.json"):
        run.checkpoint("last")
    run.result.write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        run.read_result()


def _count(path: Path, key: str, times: int) -> None:
    run = RunFolder(path)
    for _ in range(times):
        run.update_result(lambda result: result | {key: result.get(key, 0) + 1, "sum": result.get("sum", 0) + 1})


def test_no_update_of_a_result_is_lost_between_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_count, args=(tmp_path, key, 50)) for key in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert RunFolder(tmp_path).read_result() == {"a": 50, "b": 50, "c": 50, "sum": 150}


def test_a_damaged_result_does_not_cost_the_next_one_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(tmp_path)
    run.result.write_text("{torn")
    assert run.update_result(lambda result: result | {"epochs": 2}) == {"epochs": 2}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(str(run.result))
    assert line.endswith("it is written anew, without what it held")
    assert run.read_result() == {"epochs": 2}


def test_a_folder_that_has_been_deleted_is_noticed(run: RunFolder) -> None:
    run.check_there()
    shutil.rmtree(run.path)
    with pytest.raises(FileNotFoundError, match="deleted or moved"):
        run.check_there()
    with pytest.raises(FileNotFoundError):
        run.write_result({"epochs": 1})
    assert not run.path.exists()
