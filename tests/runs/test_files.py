import errno
import os
from pathlib import Path

import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import as_cell, of_cell, read_json, replacing, sweep_up, write_text


def test_the_file_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for content in ("old", "new"):
        with replacing(path) as staged:
            staged.write_text(content)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_then(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with replacing(path) as staged:
        staged.write_text("half of the n")
        assert staged.parent == path.parent  # a rename between file systems would not be atomic
        assert path.read_text() == "old"


def test_a_listing_by_suffix_or_pattern_misses_the_unfinished_file(tmp_path: Path) -> None:
    with replacing(tmp_path / "epoch_0001.npz") as staged:
        staged.touch()
        assert not list(tmp_path.glob("*.npz"))
        assert not list(tmp_path.glob("epoch_*"))


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as staged:
            staged.write_text("half of the n")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_before_the_first_write_is_passed_on_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the reason"), replacing(tmp_path / "result.json"):
        raise ValueError("the reason")
    assert not list(tmp_path.iterdir())


def test_two_threads_of_a_process_do_not_write_to_the_same_file(tmp_path: Path) -> None:
    """Nor do two containers, whose processes may have the same number."""
    with replacing(tmp_path / "a.csv") as one, replacing(tmp_path / "a.csv") as other:
        assert one != other
        one.write_text("1")
        other.write_text("2")


def test_a_name_of_the_greatest_length_can_be_replaced(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 250), "text")
    assert [len(path.name) for path in tmp_path.iterdir()] == [250]


def test_what_a_killed_process_left_goes_with_the_next_write_after_a_day(tmp_path: Path) -> None:
    left, recent, others = (tmp_path / f".{name}.part" for name in ("a[1].csv.0123", "a[1].csv.4567", "b.csv.0123"))
    for path in (left, recent, others):
        path.touch()
    for path in (left, others):
        os.utime(path, (0, 0))
    write_text(tmp_path / "a[1].csv", "text")
    assert {path.name for path in tmp_path.iterdir()} == {"a[1].csv", recent.name, others.name}


def test_what_killed_processes_left_is_swept_up_in_all_folders(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    kept = [tmp_path / "a.part", tmp_path / ".lock", tmp_path / "records/epoch_0000.npz"]
    for path in [*kept, tmp_path / ".a.csv.0123.part", tmp_path / "records/.epoch_0001.npz.0123.part"]:
        path.touch()
    sweep_up(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(kept)


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b"{", b"\xff", b"", b"[" * 100_000], ids=lambda content: str(content[:9])
)
def test_json_that_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(InputError, match=r"r\.json is damaged"):
        read_json(tmp_path / "r.json")


def test_an_error_of_a_write_names_the_file(tmp_path: Path) -> None:
    for given, filename, text in (
        ((errno.ENOSPC, "full"), str(tmp_path / "a"), "full"),
        ((errno.ENOSPC, "full", "other"), "other", "full"),
        (("disk gone",), None, "disk gone"),
    ):
        with pytest.raises(OSError, match=text) as caught, replacing(tmp_path / "a"):
            raise OSError(*given)
        assert caught.value.filename == filename


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "'=1", "''", "'", "a", "", "a=1", "'a"])
def test_a_cell_is_no_formula_and_reads_back_as_it_was(text: str) -> None:
    cell = as_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert of_cell(cell) == text


def test_numbers_stay_numbers_in_a_table() -> None:
    assert [as_cell(value) for value in (-1, -0.5, None)] == [-1, -0.5, None]
