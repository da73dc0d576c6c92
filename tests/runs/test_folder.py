import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunFolder, claim_run, existing_run

CONFIG = {"trainer": {"max_epochs": 2}, "data": {"seed": 0}}


_claimed: list[RunFolder] = []


@pytest.fixture(autouse=True)
def _unlock() -> Iterator[None]:
    yield
    while _claimed:
        _claimed.pop().unlock()


def _claim(
    root: Path, config: dict[str, object] | None = None, version: str | None = None, resume: bool = True
) -> RunFolder:
    run = claim_run(root / "e", version, resume, config or CONFIG)
    _claimed.append(run)
    if not run.config.exists():
        run.config.write_text(yaml.safe_dump(config or CONFIG))
    return run


def test_an_unfinished_run_of_the_same_configuration_is_continued(tmp_path: Path) -> None:
    first = _claim(tmp_path)
    first.unlock()
    assert _claim(tmp_path).path == first.path
    assert _claim(tmp_path, {"data": {"seed": 1}}).path == tmp_path / "e/1"


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    first = _claim(tmp_path)
    first.write_result({"test": {}})  # tested before it finished
    first.unlock()
    again = _claim(tmp_path)
    assert again.path == first.path
    again.write_result({"epochs": 2})
    again.unlock()
    assert _claim(tmp_path).path == tmp_path / "e/1"
    with pytest.raises(InputError, match="has finished"):
        _claim(tmp_path, version="0")


def test_a_run_in_use_is_left_alone(tmp_path: Path) -> None:
    first = _claim(tmp_path, version=None)
    assert _claim(tmp_path).path == tmp_path / "e/1"
    with pytest.raises(InputError, match="another process is training"):
        _claim(tmp_path, version="0")
    first.unlock()
    assert _claim(tmp_path, version="0").path == first.path


def test_resume_can_be_refused(tmp_path: Path) -> None:
    _claim(tmp_path).unlock()
    assert _claim(tmp_path, resume=False).path == tmp_path / "e/1"
    with pytest.raises(InputError, match=r"run\.resume is false"):
        _claim(tmp_path, version="0", resume=False)


def test_a_named_folder_must_be_free_or_fit(tmp_path: Path) -> None:
    _claim(tmp_path, version="a").unlock()
    with pytest.raises(InputError, match="another configuration"):
        _claim(tmp_path, {"data": {"seed": 1}}, version="a")
    (tmp_path / "e/photos").mkdir()
    (tmp_path / "e/photos/cat.png").touch()
    with pytest.raises(InputError, match="holds files but no run"):
        _claim(tmp_path, version="photos")


def _claim_and_report(root: Path, paths: "multiprocessing.Queue[str]", done: "multiprocessing.Event") -> None:  # type: ignore[valid-type]
    paths.put(str(_claim(root).path))
    done.wait()  # type: ignore[attr-defined]


def test_two_processes_never_share_a_folder(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    paths, done = context.Queue(), context.Event()
    processes = [context.Process(target=_claim_and_report, args=(tmp_path, paths, done)) for _ in range(2)]
    for process in processes:
        process.start()
    claimed = {paths.get() for _ in processes}
    done.set()
    for process in processes:
        process.join()
    assert len(claimed) == 2


def test_a_folder_is_discarded_only_before_training(tmp_path: Path) -> None:
    run = _claim(tmp_path)
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


def test_a_result_is_json_even_where_a_run_diverged(tmp_path: Path) -> None:
    run = _claim(tmp_path)
    run.write_result({"epochs": 1, "last_epoch": {"val/loss": float("nan"), "val/acc": 0.1}, "rows": [float("inf")]})
    assert "NaN" not in run.result.read_text()
    assert run.read_result() == {"epochs": 1, "last_epoch": {"val/loss": None, "val/acc": 0.1}, "rows": [None]}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the folder of a run"):
        existing_run(tmp_path)
    run = _claim(tmp_path)
    with pytest.raises(InputError, match="has: none"):
        run.checkpoint("last")
    run.result.write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        run.read_result()


def test_a_new_run_has_the_number_after_the_highest(tmp_path: Path) -> None:
    """Also where others have been deleted."""
    for name in ("9", "11", "notes"):
        (tmp_path / "e" / name).mkdir(parents=True)
    assert _claim(tmp_path).path == tmp_path / "e/12"
