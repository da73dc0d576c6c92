import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from noisy_lightning.errors import InputError
from noisy_lightning.runs.claims import claim_run, claim_shorter
from noisy_lightning.runs.folder import RunFolder

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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b""),
        ("config.yaml", b"trainer: {max_ep"),
        ("config.yaml", b"\xff\xfe"),
        ("config.yaml", b"- 1"),
        ("result.json", b"[]"),
        ("result.json", b"{"),
        ("result.json", b"\xff"),
        ("result.json", b'{"noise": 3}'),
    ],
)
def test_a_damaged_sibling_is_named_and_passed_over(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = _claim(tmp_path)
    damaged.unlock()
    (damaged.path / name).write_bytes(content)
    assert _claim(tmp_path).path == tmp_path / "e/1"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"passed over: {damaged.path / name}")
    assert (damaged.path / name).read_bytes() == content


@pytest.mark.parametrize("left", [(), (".lock",), (".lock", ".config.yaml.0123.part")])
def test_a_folder_whose_process_died_before_its_configuration_is_taken(left: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "e/0"
    folder.mkdir(parents=True)
    for name in left:
        (folder / name).touch()
    assert _claim(tmp_path).path == folder
    assert not list(folder.glob(".*.part"))


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "e/0").mkdir(parents=True)
    (tmp_path / "e/0/cat.png").touch()
    assert _claim(tmp_path).path == tmp_path / "e/1"


@pytest.mark.parametrize("version", ["../../x", "/x", "a/b", "..", ".", "", "a\\b", "a\0b"])
def test_a_version_is_a_name_and_leads_nowhere_else(version: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^run\.version must be a name, not a path"):
        _claim(tmp_path, version=version)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^run\.version must have at most 255 bytes, got"):
        _claim(tmp_path, version="x" * 300)


def test_a_new_run_has_the_number_after_the_highest(tmp_path: Path) -> None:
    """Also where others have been deleted."""
    for name in ("9", "11", "notes"):
        (tmp_path / "e" / name).mkdir(parents=True)
        (tmp_path / "e" / name / "cat.png").touch()
    assert _claim(tmp_path).path == tmp_path / "e/12"


LONGER = {**CONFIG, "trainer": {"max_epochs": 3}}


def _shorter(root: Path, version: str | None = None) -> RunFolder:
    run = claim_shorter(root / "e", version, LONGER)
    _claimed.append(run)
    return run


def _finished(root: Path, name: str, max_epochs: int = 2) -> RunFolder:
    run = _claim(root, {**CONFIG, "trainer": {"max_epochs": max_epochs}}, version=name)
    run.write_result({"epochs": max_epochs})
    run.unlock()
    return run


def test_the_latest_shorter_run_is_made_longer(tmp_path: Path) -> None:
    for name in ("9", "10", "notes"):
        _finished(tmp_path, name)
    _finished(tmp_path, "11", max_epochs=3)
    assert _shorter(tmp_path).path == tmp_path / "e/10"
    assert _shorter(tmp_path, "notes").path == tmp_path / "e/notes"
    with pytest.raises(InputError, match=r"e/11 is no run of this configuration with fewer trainer\.max_epochs"):
        _shorter(tmp_path, "11")


def test_a_damaged_sibling_is_passed_over_by_what_makes_a_run_longer_unless_it_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, damaged = _finished(tmp_path, "0"), _finished(tmp_path, "1")
    damaged.config.write_bytes(b"trainer: {max_ep")
    assert _shorter(tmp_path).path == whole.path
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"passed over: {damaged.config}")
    with pytest.raises(InputError, match=r"e/1/config\.yaml, line 2"):
        _shorter(tmp_path, "1")


@pytest.mark.parametrize("name", ["²", "007", "٣"])
def test_a_folder_whose_name_is_no_number_of_a_run_is_none(name: str, tmp_path: Path) -> None:
    _finished(tmp_path, name)
    with pytest.raises(InputError, match="is no run of this configuration"):
        _shorter(tmp_path)


def test_a_run_elsewhere_cannot_be_made_longer_by_its_path(tmp_path: Path) -> None:
    _finished(tmp_path / "other", "0")
    with pytest.raises(InputError, match=r"^run\.version must be a name, not a path"):
        _shorter(tmp_path, "../other/e/0")
