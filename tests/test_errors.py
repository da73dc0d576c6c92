import errno
from pathlib import Path

import pytest

from noisy_lightning.errors import InputError, StorageError, cannot_write, reading, storing


def test_a_message_is_one_line_that_a_terminal_takes_for_text() -> None:
    assert str(InputError("a class\ncalled \x1b[2Jcat\ud800 is\tnone\n")) == "a class called  [2Jcat  is none"


def test_a_message_is_short_and_keeps_its_beginning_and_its_end() -> None:
    message = str(InputError("data.csv: " + "x" * 140_000 + " is no class"))
    assert len(message) < 2000
    assert message.startswith("data.csv: xx")
    assert message.endswith("xx is no class")


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("x"), RecursionError(), MemoryError(), KeyError("a"), OSError(5, "io")]
)
def test_whatever_a_reader_meets_names_the_file_and_the_key(error: Exception) -> None:
    with pytest.raises(InputError, match=r"^data\.csv: .*t\.csv"), reading(Path("t.csv"), "data.csv"):
        raise error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG])
def test_what_a_file_system_refuses_says_where_why_and_what_is_kept(code: int) -> None:
    with pytest.raises(StorageError, match=r"^runs/x: .+; all of it is kept$"), storing(lambda: "all of it is kept"):
        raise OSError(code, "what the system says", "runs/x")


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, StorageError), (errno.EDQUOT, StorageError), (errno.ENOTDIR, InputError)]
)
def test_a_folder_that_cannot_be_written_to_is_a_wrong_argument_unless_the_disk_is_full(
    code: int, kind: type[Exception]
) -> None:
    error = cannot_write("out", Path("a/b"), OSError(code, "why"))
    assert isinstance(error, kind)
    assert str(error) == "out: cannot write to a/b: why"


def test_another_error_keeps_its_traceback() -> None:
    with pytest.raises(ConnectionRefusedError), storing():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no")
