from pathlib import Path

import pytest

from noisy_lightning.runs.files import replacing


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
