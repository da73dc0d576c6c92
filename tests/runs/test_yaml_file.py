"""What is wrong in a YAML file is said with its name and the line."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.runs.yaml_file import read_yaml


def _file(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "content"),
    [("a: 1\nb: [{c: 2}, {c: 3}]\n", {"a": 1, "b": [{"c": 2}, {"c": 3}]}), ("", None), ("größe: ä\n", {"größe": "ä"})],
)
def test_what_is_right_is_read(text: str, content: Any, tmp_path: Path) -> None:
    assert read_yaml(_file(tmp_path, text), "config") == content


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: a is there twice, first in line 1"),
        ("x:\n  - {lr: 1}\n  - b: 1\n    b: 2\n", "line 4: b is there twice, first in line 3"),
        ("x: &x {a: 1}\ny: [*x, *x]\nx: 2\n", "line 3: x is there twice"),
        ("a:\n\tb: 1\n", "line 2: found character"),
        ("a: {b: 1\n", "line 2: did not find expected"),
        ("a: {b: 1\n", "line 2: expected ',' or '}', but got"),
        ("a: 1\n# größer\n".encode("latin-1"), "line 2: must be UTF-8, got the byte 0xf6"),
        ("a: !!float x\n", "is no YAML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text: str | bytes, message: str, tmp_path: Path) -> None:
    path = _file(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_yaml(path, "config")
    assert str(error.value).startswith(f"config: {path}")
    if "expected" not in message:  # which of the two libyaml and Python's parser say
        assert message in str(error.value)


_LEVELS = "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefgh"))
BOMB = f"a: &a [x, x, x]\n{_LEVELS}"
MERGED = "a: &a {x: 1}\n" + _LEVELS.replace(" [*", " {<<: [*").replace("]", "]}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (BOMB.encode(), "aliases stand for more than"),
        (MERGED.encode(), "aliases stand for more than"),
        (b"a: &a [*a]", "holds itself"),
        (b"[" * 100_000, "nested more than 100 deep"),
        (b"{a: " * 3000, "nested more than 100 deep"),
        (b"a: !!float x", "could not convert"),
        (b"a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
    ids=str,
)
def test_yaml_that_cannot_be_read_is_refused_at_once_and_in_one_line(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(content)
    with pytest.raises(InputError, match=f"c.yaml.*{why}"):
        read_yaml(tmp_path / "c.yaml")


def test_yaml_with_a_few_aliases_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: &a {x: 1}\nb: {<<: *a, y: [*a, *a]}\n")
    assert read_yaml(tmp_path / "c.yaml")["b"] == {"x": 1, "y": [{"x": 1}, {"x": 1}]}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config: cannot read .*nowhere\.yaml: No such file"):
        read_yaml(tmp_path / "nowhere.yaml", "config")
